// The activations and their derivatives, on vectors.
#ifndef TF_GRU_ADDON_NATIVE_CELL_ACTIVATIONS_H_
#define TF_GRU_ADDON_NATIVE_CELL_ACTIVATIONS_H_

#include "include/gru.h"
#include "gemm/vector.h"

namespace tf_gru_addon {
namespace GRU_ISA {

// exp(x) - 1, of small relative error everywhere; x within [-87, 88].
static INLINE Vector expm1(Vector x) {
  // x = n ln 2 + r. Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  const Vector shifted = x * 1.44269504f + 12582912.0f;
  const Vector n = shifted - 12582912.0f;
  Vector r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  // exp(r) - 1 = r + r^2 p(r), fitted for |r| <= ln(2) / 2.
  // In pairs of terms, which need not wait for each other.
  const Vector r2 = r * r;
  const Vector p4 = 1.9875691e-4f * r + 1.3981999e-3f;
  const Vector p2 = 8.3334519e-3f * r + 4.1665796e-2f;
  const Vector p0 = 1.6666667e-1f * r + 0.5f;
  const Vector p = ((p4 * r2 + p2) * r2 + p0) * r2 + r;
  const Vector power = (Vector)(((IntVector)shifted << 23) + 0x3f800000);  // 2^n
  return power * p + (power - 1.0f);
}

// 0 where the value would be below the normal numbers: a closed gate then holds back
// whatever it is closed against.
static INLINE Vector sigmoid(Vector x) {
  const Vector y = divide(splat(1), 2.0f + expm1(clamp(-x, -87.0f, 87.0f)));
  return select(x < splat(-87.0f), splat(0), y);
}

static INLINE Vector tanh(Vector x) {
  const Vector e = expm1(clamp(x + x, -40.0f, 40.0f));
  return divide(e, e + 2.0f);
}

// An activation known when the code is compiled, or (kind < 0) when it is called.
template <int kind>
struct Activation {
  GruActivation called;

  INLINE Vector operator()(Vector x) const {
    switch (kind < 0 ? called : static_cast<GruActivation>(kind)) {
      case GRU_SIGMOID: return sigmoid(x);
      case GRU_HARD_SIGMOID: return clamp(x * 0.2f + 0.5f, 0, 1);
      case GRU_KERAS_HARD_SIGMOID: return clamp(x * (1 / 6.0f) + 0.5f, 0, 1);
      case GRU_TANH: return tanh(x);
      case GRU_RELU: return select(x < splat(0), splat(0), x);
      case GRU_LINEAR: return x;
    }
    __builtin_unreachable();
  }

  // The derivative where the activation's value is y.
  INLINE Vector derivative(Vector y) const {
    const Vector zero = splat(0), one = splat(1);
    switch (kind < 0 ? called : static_cast<GruActivation>(kind)) {
      case GRU_SIGMOID: return y * (1.0f - y);
      case GRU_HARD_SIGMOID: return select((y > zero) & (y < one), splat(0.2f), zero);
      case GRU_KERAS_HARD_SIGMOID:
        return select((y > zero) & (y < one), splat(1 / 6.0f), zero);
      case GRU_TANH: return 1.0f - y * y;
      case GRU_RELU: return select(y > zero, one, zero);
      case GRU_LINEAR: return one;
    }
    __builtin_unreachable();
  }
};

// Calls f(sigma, phi), compiled for the usual pair, and once for all the others.
template <class F>
static INLINE void with_activations(const GruOptions& options, F f) {
  if (options.recurrent_activation == GRU_SIGMOID && options.activation == GRU_TANH) {
    f(Activation<GRU_SIGMOID>{GRU_SIGMOID}, Activation<GRU_TANH>{GRU_TANH});
  } else {
    f(Activation<-1>{options.recurrent_activation}, Activation<-1>{options.activation});
  }
}

}  // namespace GRU_ISA
}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_CELL_ACTIVATIONS_H_
