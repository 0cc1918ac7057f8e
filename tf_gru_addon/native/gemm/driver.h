// All tiles of a product of many rows and many panels.
#ifndef TF_GRU_ADDON_NATIVE_GEMM_DRIVER_H_
#define TF_GRU_ADDON_NATIVE_GEMM_DRIVER_H_

#include "gemm/micro_kernel.h"

namespace tf_gru_addon {
namespace GRU_ISA {

// So many products of a gradient are added up before the sum is added to the rest, for
// accuracy: a single sum over all gates would be two to three times less exact than one
// a gate. The more there are, the more may be added up at once, which is faster.
static INLINE int64_t gradient_block(int64_t depth) {
  const int64_t block = depth / 6 / 16 * 16;
  return block < 32 ? 32 : block > 128 ? 128 : block;
}

// For every row i and vector v of the panels: init(i, v) gives what the products are
// added to; done(i, panel, sums) takes a panel's sums, [kPanelVectors, kLanes].
//
// depth_block: how many products are added up before the sum is added to the rest.
template <class Init, class Done>
static INLINE void sweep(const float* const* rows, int64_t count, int64_t depth,
                         int64_t depth_block, const Panels& panels, Init init,
                         Done done) {
  constexpr int kRows = kMaxRows < 4 ? 4 : kMaxRows;
  alignas(64) float tile[kRows * kTileWidth];
  const int64_t all = panel_count(panels.vectors);
  // So many rows stay in the nearer caches while the panels go by.
  const int64_t block = 131072 / (depth + 64) / kMaxRows * kMaxRows + kMaxRows;
  for (int64_t first = 0; first < count; first += block) {
    const int64_t end = first + block < count ? first + block : count;
    for (int64_t panel = 0; panel < all;) {
      const int at_once = panels_at_once(count, panels.full - panel);
      const int64_t left = panels.vectors - panel * kPanelVectors;
      const int vectors = left < kPanelVectors ? static_cast<int>(left) : kPanelVectors;
      // The tiles of this panel share out asking for the next.
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

}  // namespace GRU_ISA
}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_GEMM_DRIVER_H_
