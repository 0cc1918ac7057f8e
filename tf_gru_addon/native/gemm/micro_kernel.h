// Matrix products on tiles that stay in registers.
//
// Whatever the size of the tile, every element adds up its products in the same order,
// from the first k to the last: its value does not depend on how rows are grouped.
#ifndef TF_GRU_ADDON_NATIVE_GEMM_MICRO_KERNEL_H_
#define TF_GRU_ADDON_NATIVE_GEMM_MICRO_KERNEL_H_

#include "gemm/panels.h"
#include "gemm/vector.h"

namespace tf_gru_addon {
namespace GRU_ISA {

constexpr int kAhead = 12;  // rows of a panel

// What a tile asks the second cache for while it is made: `stride` floats further on for
// each row of its panel.
struct Prefetch {
  const float* from;
  int64_t stride;
};

constexpr int kTileWidth = kPanelVectors * kLanes;  // floats of a row of a tile

// tile[p][i][n] += sum over k of rows[i][k] * panel p's vector n of row k, for k in
// [first, end), the sum made first.
//
// rows: M rows of the left operand.
// tile: [P][M][kPanelVectors][kLanes], the P parts `tile_stride` floats apart.
// next: asked for meanwhile, where a tile takes one panel.
// kPacked: the panels are; their strides then take no registers, of which a large tile
// needs every one.
template <int M, int N, int P, bool kPacked>
static void multiply_tile(const float* const* rows, int64_t first, int64_t end,
                          const float* panel, const Panels& panels,
                          const Prefetch& next, float* tile, int64_t tile_stride) {
  const int64_t vector_stride = kPacked ? kLanes : panels.vector_stride;
  const int64_t row_stride = kPacked ? kTileWidth : panels.row_stride;
  Vector sum[P][M][N] = {};
  const float* a[M];
  const float* b[P];
  const float* later = next.from + first * next.stride;
  for (int p = 0; p < P; ++p) b[p] = panel + p * panels.panel_stride + first * row_stride;
  for (int i = 0; i < M; ++i) a[i] = rows[i];
  for (int64_t k = first; k < end; ++k) {
    if (P == 1) __builtin_prefetch(later, 0, 2);
    later += next.stride;
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      Vector w[N];
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) {
        w[n] = load(b[p] + n * vector_stride);
        // Panels of a large matrix come from the second cache.
        if (P == 1) __builtin_prefetch(b[p] + n * vector_stride + kAhead * row_stride);
      }
      b[p] += row_stride;
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
        for (int n = 0; n < N; ++n) sum[p][i][n] += splat(a[i][k]) * w[n];
      }
    }
  }
  for (int p = 0; p < P; ++p)
    for (int i = 0; i < M; ++i)
      for (int n = 0; n < N; ++n) {
        float* to = tile + p * tile_stride + i * kTileWidth + n * kLanes;
        store(to, load(to) + sum[p][i][n]);
      }
}

template <int N, int P, bool kPacked>
static void multiply_rows(int m, const float* const* rows, int64_t first, int64_t end,
                          const float* panel, const Panels& panels,
                          const Prefetch& next, float* tile, int64_t tile_stride) {
#define TILE(M)                                                                 \
  case M:                                                                       \
    if constexpr (M <= kMaxRows && (P == 1 || M * P <= 4))                      \
      multiply_tile<M, N, P, kPacked>(rows, first, end, panel, panels, next,    \
                                      tile, tile_stride);                       \
    return;
  switch (m) { TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) }
#undef TILE
}

// How many panels a tile of m rows takes at once, of those that are left: a single row
// would else wait for each of its sums.
static INLINE int panels_at_once(int64_t rows, int64_t left) {
  const int64_t most = rows == 1 ? 4 : rows == 2 ? 2 : 1;
  return left < 1 ? 1 : static_cast<int>(left < most ? left : most);
}

template <bool kPacked>
static void multiply_panels(int m, int vectors, int at_once, const float* const* rows,
                            int64_t first, int64_t end, const Panels& panels,
                            int64_t panel, const Prefetch& next, float* tile,
                            int64_t tile_stride) {
  const float* b = panels.data + panel * panels.panel_stride;
#define MULTIPLY(N, P)                                                            \
  return multiply_rows<N, P, kPacked>(m, rows, first, end, b, panels, next, tile, \
                                      tile_stride)
  if (at_once == 4) MULTIPLY(3, 4);
  if (at_once == 3) MULTIPLY(3, 3);
  if (at_once == 2) MULTIPLY(3, 2);
  if (vectors == 3) MULTIPLY(3, 1);
  if (vectors == 2) MULTIPLY(2, 1);
  MULTIPLY(1, 1);
#undef MULTIPLY
}

// As multiply_tile, with m in [1, kMaxRows], `vectors` in [1, kPanelVectors] and
// `at_once` from panels_at_once; several panels at once are made in full.
static INLINE void multiply(int m, int vectors, int at_once, const float* const* rows,
                            int64_t first, int64_t end, const Panels& panels,
                            int64_t panel, const Prefetch& next, float* tile,
                            int64_t tile_stride) {
  const bool packed = panels.row_stride == kTileWidth && panels.vector_stride == kLanes;
  const auto f = packed ? multiply_panels<true> : multiply_panels<false>;
  f(m, vectors, at_once, rows, first, end, panels, panel, next, tile, tile_stride);
}

// The number of rows of the next tile, of those that are left: as even as can be, for a
// tile of one row alone costs nearly as much as one of four.
static INLINE int tile_rows(int64_t left) {
  const int64_t tiles = (left + kMaxRows - 1) / kMaxRows;
  return static_cast<int>((left + tiles - 1) / tiles);
}

// c[i][n] += sum over k of a[k][i] * b[k][n], the sum made first.
// a: [depth][kMaxRows]; b: [depth][kPanelVectors][kLanes]; c: [M][kPanelVectors][kLanes].
// next: how far from a the next tile's stands, which is asked for meanwhile.
template <int M, int N>
static void multiply_transposed_tile(const float* a, int64_t next, int64_t depth,
                                     const float* b, float* c) {
  Vector sum[M][N] = {};
  for (int64_t k = 0; k < depth; ++k, a += kMaxRows, b += kTileWidth) {
    __builtin_prefetch(a + next);
    Vector w[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) w[n] = load(b + n * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) sum[i][n] += splat(a[i]) * w[n];
    }
  }
  for (int i = 0; i < M; ++i)
    for (int n = 0; n < N; ++n) {
      float* to = c + i * kTileWidth + n * kLanes;
      store(to, load(to) + sum[i][n]);
    }
}

template <int N>
static void multiply_transposed_rows(int64_t m, const float* a, int64_t next,
                                     int64_t depth, const float* b, float* c) {
#define TILE(M)                                                                       \
  case M:                                                                             \
    if constexpr (M <= kMaxRows) multiply_transposed_tile<M, N>(a, next, depth, b, c); \
    return;
  switch (m) { TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) }
#undef TILE
}

// c [rows, kPanelVectors, kLanes] += a, transposed, times b. a: strips [rows up,
// a_stride], of each the first [depth, kMaxRows].
static void multiply_transposed(int64_t rows, int vectors, const float* a,
                                int64_t a_stride, int64_t depth, const float* b,
                                float* c) {
  for (int64_t i = 0; i < rows; i += kMaxRows, a += a_stride, c += kMaxRows * kTileWidth) {
    const int64_t m = rows - i < kMaxRows ? rows - i : kMaxRows;
    switch (vectors) {
      case 1: multiply_transposed_rows<1>(m, a, a_stride, depth, b, c); break;
      case 2: multiply_transposed_rows<2>(m, a, a_stride, depth, b, c); break;
      default: multiply_transposed_rows<3>(m, a, a_stride, depth, b, c);
    }
  }
}

}  // namespace GRU_ISA
}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_GEMM_MICRO_KERNEL_H_
