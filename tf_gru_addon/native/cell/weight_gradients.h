// A chunk's part of the gradients of the weights and of the bias.
//
//     dW += x^T g    dU += h^T g    db += sum of g    over the chunk rows
//
// where g is a plane of gradients and h, for the candidate of ResetBefore, is r * h.
#ifndef TF_GRU_ADDON_NATIVE_CELL_WEIGHT_GRADIENTS_H_
#define TF_GRU_ADDON_NATIVE_CELL_WEIGHT_GRADIENTS_H_

#include "gemm/driver.h"
#include "runtime/call.h"

namespace tf_gru_addon {
namespace GRU_ISA {

// Copies `vectors` vectors of the chunk rows, `stride` floats apart, to the rows of a
// panel, and adds their sum to `total`.
static INLINE void lay_out_columns(const float* from, int64_t stride, int64_t count,
                                   int vectors, float* panel, Vector* total) {
  for (int64_t k = 0; k < count;) {
    Vector sum[kPanelVectors] = {};
    const int64_t stop = k + kBiasRows < count ? k + kBiasRows : count;
    for (; k < stop; ++k) {
      for (int n = 0; n < vectors; ++n) {
        const Vector v = load(from + k * stride + n * kLanes);
        store(panel + k * kTileWidth + n * kLanes, v);
        sum[n] += v;
      }
    }
    for (int n = 0; n < vectors; ++n) total[n] += sum[n];
  }
}

// Adds the chunk's part for one panel of columns of one plane.
static void weights(const BackwardCall& call, int plane, int64_t panel) {
  alignas(64) float columns[kWeightRows * kTileWidth];
  const int64_t F = call.options.features, U = call.options.units;
  const int64_t padded = call.padded_units, first = panel * kTileWidth;
  const int64_t left = (padded - first) / kLanes;
  const int vectors = left < kPanelVectors ? static_cast<int>(left) : kPanelVectors;
  const int gate = gate_of(plane);
  const bool of_inputs = acts_on_inputs(plane);
  const bool of_states = acts_on_state(plane, call.options.reset_after);
  if (!of_inputs && !of_states) return;
  float* sums = call.weights +
                (plane * panel_count(padded / kLanes) + panel) * (F + U + 1) * kTileWidth;
  const int64_t stride = gradient_stride(call);
  for (int64_t begin = 0; begin < call.chunk_rows; begin += kWeightRows) {
    const int64_t depth =
        call.chunk_rows - begin < kWeightRows ? call.chunk_rows - begin : kWeightRows;
    Vector total[kPanelVectors] = {};
    lay_out_columns(call.gradients + begin * stride + plane * padded + first, stride, depth,
                    vectors, columns, total);
    const int64_t strip = strip_stride(call);
    if (of_inputs) {
      const float* x = call.inputs + input_operand(call, gate) * operand_size(call, F);
      multiply_transposed(F, vectors, x + begin * kMaxRows, strip, depth, columns, sums);
    }
    if (of_states) {
      const float* h = call.states + state_operand(call, gate) * operand_size(call, U);
      multiply_transposed(U, vectors, h + begin * kMaxRows, strip, depth, columns,
                          sums + F * kTileWidth);
    }
    float* bias = sums + (F + U) * kTileWidth;
    for (int n = 0; n < vectors; ++n)
      store(bias + n * kLanes, load(bias + n * kLanes) + total[n]);
  }
}

}  // namespace GRU_ISA
}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_CELL_WEIGHT_GRADIENTS_H_
