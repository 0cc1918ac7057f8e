// The left operands of the products.
#ifndef TF_GRU_ADDON_NATIVE_CELL_OPERANDS_H_
#define TF_GRU_ADDON_NATIVE_CELL_OPERANDS_H_

#include "gemm/vector.h"
#include "runtime/call.h"

namespace tf_gru_addon {
namespace GRU_ISA {

// An array of no floats may be null, which memcpy and memset do not accept.
static INLINE void copy(float* to, const float* from, int64_t count) {
  if (count > 0) memcpy(to, from, sizeof(float) * count);
}

static INLINE void zero(float* to, int64_t count) {
  if (count > 0) memset(to, 0, sizeof(float) * count);
}

// Multiplies a row of the inputs by each of its dropout masks: [masks, features].
static INLINE void masked_input(const Call& call, int64_t row, const float* x, float* to) {
  const int64_t F = call.options.features;
  for (int g = 0; g < mask_count(call.in.input_masks); ++g, to += F) {
    const float* mask = call.in.input_masks[g] + row * F;
    for (int64_t k = 0; k < F; ++k) to[k] = x[k] * mask[k];
  }
}

// Copies the recurrent dropout masks of a row, padded with zeros: [masks, padded_units].
static INLINE void padded_masks(const Call& call, int64_t row, float* to) {
  const int64_t U = call.options.units;
  for (int g = 0; g < mask_count(call.in.recurrent_masks); ++g, to += call.padded_units) {
    copy(to, call.in.recurrent_masks[g] + row * U, U);
    zero(to + U, call.padded_units - U);
  }
}

}  // namespace GRU_ISA
}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_CELL_OPERANDS_H_
