// What stands on the left of the products, and the memory of a thread.
#ifndef TF_GRU_ADDON_NATIVE_CELL_OPERANDS_H_
#define TF_GRU_ADDON_NATIVE_CELL_OPERANDS_H_

#include "runtime/call.h"
#include "gemm/vector.h"

namespace tf_gru_addon {
namespace GRU_ISA {

// Memory cut from one block. Made twice: once to measure, once to cut.
struct Arena {
  float* block;
  int64_t used;

  template <class T>
  T* take(int64_t count) {
    T* result = block ? reinterpret_cast<T*>(block + used) : nullptr;
    used += (count * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 16;
    return result;
  }
};

static INLINE int mask_count(const float* const (&masks)[3]) {
  return masks[0] == nullptr ? 0 : masks[1] == nullptr ? 1 : 3;
}

// An array of no floats may be null, which memcpy does not take.
static INLINE void copy(float* to, const float* from, int64_t count) {
  if (count > 0) memcpy(to, from, sizeof(float) * count);
}

static INLINE void zero(float* to, int64_t count) {
  if (count > 0) memset(to, 0, sizeof(float) * count);
}

// A row of the inputs times its masks, one after the other: [masks, features].
static INLINE void masked_input(const Call& call, int64_t row, const float* x, float* to) {
  const int64_t F = call.options.features;
  for (int g = 0; g < mask_count(call.in.input_masks); ++g, to += F) {
    const float* mask = call.in.input_masks[g] + row * F;
    for (int64_t k = 0; k < F; ++k) to[k] = x[k] * mask[k];
  }
}

// The recurrent masks of a row, zeros behind the units: [masks, padded_units].
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
