// The activations and their derivatives, on vectors. `include/gru.h` lists them.
#ifndef TF_GRU_ADDON_NATIVE_CELL_ACTIVATIONS_H_
#define TF_GRU_ADDON_NATIVE_CELL_ACTIVATIONS_H_

#include "gemm/vector.h"
#include "include/gru.h"

namespace tf_gru_addon {
namespace GRU_ISA {

// exp(x) - 1, with a small relative error everywhere; x must be within [-87, 88].
static INLINE Vector expm1(Vector x) {
  // x = n ln 2 + r. Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  const Vector shifted = x * 1.44269504f + 12582912.0f;
  const Vector n = shifted - 12582912.0f;
  Vector r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  // exp(r) - 1 = r + r^2 p(r), fitted for |r| <= ln(2) / 2. The terms are evaluated in
  // pairs, which do not depend on each other.
  const Vector r2 = r * r;
  const Vector p4 = 1.9875691e-4f * r + 1.3981999e-3f;
  const Vector p2 = 8.3334519e-3f * r + 4.1665796e-2f;
  const Vector p0 = 1.6666667e-1f * r + 0.5f;
  const Vector p = ((p4 * r2 + p2) * r2 + p0) * r2 + r;
  const Vector power = (Vector)(((IntVector)shifted << 23) + 0x3f800000);  // 2^n
  return power * p + (power - 1.0f);
}

// The functions of x, and their derivatives as functions of their value y.

// 0 where the value would be subnormal, so that a closed gate passes exactly nothing.
static INLINE Vector sigmoid(Vector x) {
  const Vector y = divide(splat(1), 2.0f + expm1(clamp(-x, -87.0f, 87.0f)));
  return select(x < splat(-87.0f), splat(0), y);
}

static INLINE Vector sigmoid_derivative(Vector y) { return y * (1.0f - y); }

static INLINE Vector hard_sigmoid(Vector x) { return clamp(x * 0.2f + 0.5f, 0, 1); }

static INLINE Vector hard_sigmoid_derivative(Vector y) {
  return select((y > splat(0)) & (y < splat(1)), splat(0.2f), splat(0));
}

static INLINE Vector keras_hard_sigmoid(Vector x) {
  return clamp(x * (1 / 6.0f) + 0.5f, 0, 1);
}

static INLINE Vector keras_hard_sigmoid_derivative(Vector y) {
  return select((y > splat(0)) & (y < splat(1)), splat(1 / 6.0f), splat(0));
}

static INLINE Vector tanh(Vector x) {
  const Vector e = expm1(clamp(x + x, -40.0f, 40.0f));
  return divide(e, e + 2.0f);
}

static INLINE Vector tanh_derivative(Vector y) { return 1.0f - y * y; }

static INLINE Vector relu(Vector x) { return select(x < splat(0), splat(0), x); }

static INLINE Vector relu_derivative(Vector y) {
  return select(y > splat(0), splat(1), splat(0));
}

static INLINE Vector linear(Vector x) { return x; }

static INLINE Vector linear_derivative(Vector) { return splat(1); }

// An activation known at compile time, or chosen at run time by `chosen`.
constexpr int kAnyActivation = GRU_ACTIVATION_COUNT;
template <int kind>
struct Activation {
  GruActivation chosen;

  INLINE Vector operator()(Vector x) const {
    switch (activation()) {
#define CASE(enumerator, name, function, derivative) \
  case enumerator: return function(x);
      GRU_ACTIVATIONS(CASE)
#undef CASE
      case GRU_ACTIVATION_COUNT: break;
    }
    __builtin_unreachable();
  }

  // The derivative where the activation's value is y.
  INLINE Vector derivative(Vector y) const {
    switch (activation()) {
#define CASE(enumerator, name, function, derivative) \
  case enumerator: return GRU_ISA::derivative(y);
      GRU_ACTIVATIONS(CASE)
#undef CASE
      case GRU_ACTIVATION_COUNT: break;
    }
    __builtin_unreachable();
  }

 private:
  INLINE GruActivation activation() const {
    return kind == kAnyActivation ? chosen : static_cast<GruActivation>(kind);
  }
};

}  // namespace GRU_ISA
}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_CELL_ACTIVATIONS_H_
