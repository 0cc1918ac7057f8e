// A vector of floats, as wide as the instruction set that this is compiled for.
//
// GCC's and Clang's vector types give the arithmetic on every machine; a product added
// to something becomes a fused multiply-add where the machine has one. Everything is in
// a namespace of the instruction set's own, so that the linker cannot put one build's
// code in another's place.
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

// kMaxRows: rows of a tile. Its sums, 3 vectors a row, stay in registers, beside a row of
// the panel (3) and the numbers that it is multiplied by: one a row at most, none where
// an instruction takes them from memory.
#if defined(__AVX512F__)
constexpr int kLanes = 16;
constexpr int kMaxRows = 8;  // 24 + 3 of 32
#elif defined(__AVX2__)
constexpr int kLanes = 8;
constexpr int kMaxRows = 4;
#elif defined(__aarch64__)
constexpr int kLanes = 4;
constexpr int kMaxRows = 7;  // 21 + 3 + 7 of 32
#else
constexpr int kLanes = 4;
constexpr int kMaxRows = 4;
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

// A NaN in x comes through.
static INLINE Vector clamp(Vector x, float low, float high) {
#ifdef __AVX512F__
  // Of these the second operand is what comes of a NaN. The plain forms, without a mask,
  // make GCC 12 warn of its own header.
  return _mm512_maskz_min_ps(-1, splat(high), _mm512_maskz_max_ps(-1, splat(low), x));
#else
  x = select(x < splat(low), splat(low), x);
  return select(x > splat(high), splat(high), x);
#endif
}

// x / d to the last bit or two, for d whose reciprocal is a normal number.
static INLINE Vector divide(Vector x, Vector d) {
#ifdef __AVX512F__
  // The division would take as long as everything else in an activation. The estimate
  // has 14 bits, and what it leaves of x gives as many more.
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
