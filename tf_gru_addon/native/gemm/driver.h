// Whole products: loops over the tiles of the micro-kernels.
#ifndef TF_GRU_ADDON_NATIVE_GEMM_DRIVER_H_
#define TF_GRU_ADDON_NATIVE_GEMM_DRIVER_H_

#include "gemm/micro_kernel.h"

namespace tf_gru_addon {
namespace GRU_ISA {

// The length of the partial sums of a gradient; see tuning.h.
static INLINE int64_t gradient_block(int64_t depth) {
  const int64_t block =
      depth / kGradientBlockShare / kGradientBlockStep * kGradientBlockStep;
  return block < kGradientBlockLeast  ? kGradientBlockLeast
         : block > kGradientBlockMost ? kGradientBlockMost
                                      : block;
}

// Multiplies rows by all panels. For row i and vector v of the panels, init(i, v) returns the
// initial value of the sum; done(i, panel, sums) receives the sums of a panel,
// [kPanelVectors, kLanes].
//
// depth_block: the length of the partial sums.
template <class Init, class Done>
static INLINE void sweep(const float* const* rows, int64_t count, int64_t depth,
                         int64_t depth_block, const Panels& panels, Init init,
                         Done done) {
  constexpr int kRows = kMaxRows < kPanelRows ? kPanelRows : kMaxRows;
  alignas(64) float tile[kRows * kTileWidth];
  const int64_t all = panel_count(panels.vectors);
  // Rows that stay in the nearer caches while all panels pass.
  const int64_t block =
      kSweepFloats / (depth + kSweepDepth) / kMaxRows * kMaxRows + kMaxRows;
  for (int64_t first = 0; first < count; first += block) {
    const int64_t end = first + block < count ? first + block : count;
    for (int64_t panel = 0; panel < all;) {
      const int at_once = panels_at_once(count, panels.full - panel);
      const int64_t left = panels.vectors - panel * kPanelVectors;
      const int vectors = left < kPanelVectors ? static_cast<int>(left) : kPanelVectors;
      // Each tile of this panel prefetches its part of the next panel. Measured: 4 to 5 %
      // of a training step at 512 units, whose panels do not fit in the second cache.
      const int64_t following = panel + at_once < all ? panel + at_once : 0;
      const int64_t tiles = (end - first + kMaxRows - 1) / kMaxRows;
      Prefetch next{panels.data + following * panels.panel_stride,
                    (kTileWidth + tiles - 1) / tiles};
      for (int64_t i = first; i < end; next.from += depth * next.stride) {
        const int m = tile_rows(end - i);
        const int sums = at_once * m;
        if (sums > kRows) __builtin_unreachable();
        for (int s = 0, p = 0, r = 0; s < sums; ++s) {
          for (int n = 0; n < kPanelVectors; ++n) {
            const int64_t v = (panel + p) * kPanelVectors + n;
            store(tile + s * kTileWidth + n * kLanes,
                  v < panels.vectors ? init(i + r, v) : splat(0));
          }
          if (++r == m) r = 0, ++p;
        }
        for (int64_t k = 0; k < depth; k += depth_block) {
          const int64_t stop = k + depth_block < depth ? k + depth_block : depth;
          multiply(m, vectors, at_once, rows + i, k, stop, panels, panel, next, tile,
                   m * kTileWidth);
        }
        for (int s = 0, p = 0, r = 0; s < sums; ++s) {
          done(i + r, panel + p, tile + s * kTileWidth);
          if (++r == m) r = 0, ++p;
        }
        i += m;
      }
      panel += at_once;
    }
  }
}

// c += a^T b. a: strips of kMaxRows columns, `a_stride` floats apart, [depth, kMaxRows] each;
// b: [depth, kPanelVectors, kLanes]; c: [rows, kPanelVectors, kLanes].
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

#endif  // TF_GRU_ADDON_NATIVE_GEMM_DRIVER_H_
