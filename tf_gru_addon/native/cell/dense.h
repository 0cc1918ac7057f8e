// A Dense layer for few rows, one row after the other.
#ifndef TF_GRU_ADDON_NATIVE_CELL_DENSE_H_
#define TF_GRU_ADDON_NATIVE_CELL_DENSE_H_

#include "cell/activations.h"
#include "runtime/tuning.h"

namespace tf_gru_addon {
namespace GRU_ISA {

// y[j] = sum over k of x[k] * kernel[k][j] + bias[j], for N vectors of columns.
template <int N>
static INLINE void dense_columns(const GruDense& d, const float* x, int64_t first,
                                 float* y) {
  Vector sum[N];
  for (int n = 0; n < N; ++n) sum[n] = load(d.bias + first + n * kLanes);
  const float* w = d.kernel + first;
  for (int64_t k = 0; k < d.features; ++k, w += d.padded_units) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sum[n] += splat(x[k]) * load(w + n * kLanes);
  }
  for (int n = 0; n < N; ++n) store(y + first + n * kLanes, sum[n]);
}

static INLINE void softmax(const GruDense& d, float* y) {
  float most = y[0];
  for (int64_t j = 1; j < d.units; ++j) most = y[j] > most ? y[j] : most;
  for (int64_t j = 0; j < d.padded_units; j += kLanes)
    store(y + j, expm1(clamp(load(y + j) - most, -87.0f, 0.0f)) + 1.0f);
  float sum = 0;
  for (int64_t j = 0; j < d.units; ++j) sum += y[j];
  for (int64_t j = 0; j < d.padded_units; j += kLanes) store(y + j, load(y + j) / sum);
}

static void dense(const GruDense& d) {
  for (int64_t i = 0; i < d.rows; ++i) {
    const float* x = d.inputs + i * d.features;
    float* y = d.outputs + i * d.padded_units;
    int64_t j = 0;
    for (; j + kDenseVectors * kLanes <= d.padded_units; j += kDenseVectors * kLanes)
      dense_columns<kDenseVectors>(d, x, j, y);
    for (; j < d.padded_units; j += kLanes) dense_columns<1>(d, x, j, y);
    if (d.softmax) {
      softmax(d, y);
    } else if (d.activation != GRU_LINEAR) {
      const Activation<kAnyActivation> activation{d.activation};
      for (j = 0; j < d.padded_units; j += kLanes) store(y + j, activation(load(y + j)));
    }
  }
}

}  // namespace GRU_ISA
}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_CELL_DENSE_H_
