// A vector of floats, as wide as the registers of the instruction set.
//
// The arithmetic comes from the vector types of GCC and Clang. The compiler fuses a product
// and a sum where the machine has such an instruction. Everything is in a namespace named
// after the instruction set: functions of the same name would be merged by the linker.
#ifndef TF_GRU_ADDON_NATIVE_GEMM_VECTOR_H_
#define TF_GRU_ADDON_NATIVE_GEMM_VECTOR_H_

#include <stdint.h>
#include <string.h>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#define INLINE inline __attribute__((always_inline))
#define INLINE_LAMBDA __attribute__((always_inline))

namespace tf_gru_addon {
namespace GRU_ISA {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Vector __attribute__((vector_size(4 * kLanes)));
typedef int32_t IntVector __attribute__((vector_size(4 * kLanes)));

static INLINE Vector load(const float* p) {
  Vector v;
  memcpy(&v, p, sizeof v);
  return v;
}

static INLINE void store(float* p, Vector v) { memcpy(p, &v, sizeof v); }

static INLINE Vector splat(float x) { return x - Vector{}; }

static INLINE Vector select(IntVector condition, Vector a, Vector b) {
  return (Vector)((condition & (IntVector)a) | (~condition & (IntVector)b));
}

// A NaN in x stays NaN.
static INLINE Vector clamp(Vector x, float low, float high) {
#ifdef __AVX512F__
  // These return the second operand if one is NaN. The forms without a mask make GCC 12
  // warn about its own header.
  return _mm512_maskz_min_ps(-1, splat(high), _mm512_maskz_max_ps(-1, splat(low), x));
#else
  x = select(x < splat(low), splat(low), x);
  return select(x > splat(high), splat(high), x);
#endif
}

// x / d, exact to the last bit or two if 1 / d is a normal number.
static INLINE Vector divide(Vector x, Vector d) {
#ifdef __AVX512F__
  // A division would take as long as the rest of an activation. The estimate has 14 bits;
  // the remainder of x gives as many more.
  const Vector inverse = _mm512_maskz_rcp14_ps(-1, d);
  const Vector y = x * inverse;
  return y + (x - y * d) * inverse;
#else
  return x / d;
#endif
}

}  // namespace GRU_ISA
}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_GEMM_VECTOR_H_
