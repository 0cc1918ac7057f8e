// The chunk's part in the gradients of the weights and of the bias.
#ifndef TF_GRU_ADDON_NATIVE_CELL_WEIGHT_GRADIENTS_H_
#define TF_GRU_ADDON_NATIVE_CELL_WEIGHT_GRADIENTS_H_

#include "runtime/call.h"
#include "gemm/micro_kernel.h"

namespace tf_gru_addon {
namespace GRU_ISA {

// Copies `vectors` vectors of some chunk rows, `stride` floats apart, to the rows of a
// panel, and adds them up, a few at a time for accuracy.
static INLINE void lay_out_columns(const float* from, int64_t stride, int64_t count,
                                   int vectors, float* panel, Vector* total) {
  constexpr int64_t kAtOnce = 16;
  for (int64_t k = 0; k < count;) {
    Vector sum[kPanelVectors] = {};
    for (const int64_t end = k + kAtOnce < count ? k + kAtOnce : count; k < end; ++k) {
      for (int n = 0; n < vectors; ++n) {
        const Vector v = load(from + k * stride + n * kLanes);
        store(panel + k * kTileWidth + n * kLanes, v);
        sum[n] += v;
      }
    }
    for (int n = 0; n < vectors; ++n) total[n] += sum[n];
  }
}

// Adds the chunk to the gradients of the weights in one panel of columns of one plane.
static void weights(const BackwardCall& call, int plane, int64_t panel) {
  // Chunk rows that are added up at once: they stay in the nearest cache, and short sums
  // are exact ones.
  constexpr int64_t kBlock = 128;
  alignas(64) float columns[kBlock * kTileWidth];
  const int64_t F = call.options.features, U = call.options.units;
  const int64_t padded = call.padded_units, first = panel * kTileWidth;
  const int64_t left = (padded - first) / kLanes;
  const int vectors = left < kPanelVectors ? static_cast<int>(left) : kPanelVectors;
  const int gate = gate_of(plane);
  const bool of_inputs = plane != kProduct;
  const bool of_states = call.options.reset_after ? plane != kCandidate : plane != kProduct;
  if (!of_inputs && !of_states) return;
  float* sums = call.weights +
                (plane * panel_count(padded / kLanes) + panel) * (F + U + 1) * kTileWidth;
  const int64_t stride = d_gates_stride(call);
  for (int64_t begin = 0; begin < call.chunk_rows; begin += kBlock) {
    const int64_t depth =
        call.chunk_rows - begin < kBlock ? call.chunk_rows - begin : kBlock;
    Vector total[kPanelVectors] = {};
    lay_out_columns(call.d_gates + begin * stride + plane * padded + first, stride, depth,
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
