// The GRU whose reset gate acts before the recurrent product (reset_after = 0), as in
// TensorFlow r2.0.
//
//     z  = sigma(x Wz + h Uz + bz)
//     r  = sigma(x Wr + h Ur + br)
//     q  = r * h
//     c  = phi(x Wh + q Uh + bh)
//     h' = z * h + (1 - z) * c
//
// Backward, from d, the gradient of h'. dz, dr and dc are the gradients of the arguments
// of sigma and phi:
//
//     dc = d * (1 - z) * phi'
//     dz = d * (h - c) * sigma'
//     dq = dc Uh^T
//     dr = dq * h * sigma'
//     dh = d * z + dq * r + dz Uz^T + dr Ur^T
//
// With recurrent dropout, the h of each product, that of q included, is h times the mask
// of that gate; the h in h' is never masked.
#ifndef TF_GRU_ADDON_NATIVE_CELL_RESET_BEFORE_H_
#define TF_GRU_ADDON_NATIVE_CELL_RESET_BEFORE_H_

#include "cell/activations.h"
#include "cell/planes.h"

namespace tf_gru_addon {
namespace GRU_ISA {

template <class Sigma, class Phi>
struct ResetBefore {
  Sigma sigma;
  Phi phi;

  // Forward over one timestep of the first n rows. Row i, vector j of the units.
  template <class Pass>
  void forward_step(Pass& pass, int64_t n) const {
    // 1. z
    pass.multiply(
        n, Gate::kUpdate, pass.operands(n, Gate::kUpdate),
        [&](int64_t i, int64_t j) INLINE_LAMBDA {
          return pass.projected(i, j, Gate::kUpdate);
        },
        [&](int64_t i, int64_t j, Vector sum) INLINE_LAMBDA {
          pass.update(i, j, sigma(sum));
        });
    // 2. r and q
    pass.multiply(
        n, Gate::kReset, pass.operands(n, Gate::kReset),
        [&](int64_t i, int64_t j) INLINE_LAMBDA {
          return pass.projected(i, j, Gate::kReset);
        },
        [&](int64_t i, int64_t j, Vector sum) INLINE_LAMBDA {
          const Vector r = sigma(sum);
          pass.keep(i, j, Kept::kReset, r);
          pass.reset(i, j, r * pass.operand(i, j, Gate::kCandidate));
        });
    // 3. c and h'
    pass.multiply(
        n, Gate::kCandidate, pass.reset_rows(n),
        [&](int64_t i, int64_t j) INLINE_LAMBDA {
          return pass.projected(i, j, Gate::kCandidate);
        },
        [&](int64_t i, int64_t j, Vector sum) INLINE_LAMBDA {
          const Vector z = pass.update(i, j), q = pass.reset(i, j), c = phi(sum);
          // Not c + z * (h - c): where z is 1, h' must be h exactly.
          pass.new_state(i, j, z * pass.state(i, j) + (1.0f - z) * c);
          pass.keep(i, j, Kept::kUpdate, z);
          pass.keep(i, j, Kept::kCandidate, c);
          pass.keep(i, j, Kept::kProduct, q);
        });
  }

  // Backward over step s of the first n rows.
  template <class Pass>
  void backward_step(Pass& pass, int64_t n, int64_t s) const {
    // 1. dc and dz, and the part of dh that comes through no product.
    for (int64_t i = 0; i < n; ++i) {
      const auto row = pass.begin_row(i, s);
      for (int64_t u = 0; u < row.padded_units; u += kLanes) {
        const Vector d = load(row.d_h + u), h = load(row.h + u);
        const Vector z = load(row.z + u), c = load(row.c + u);
        store(row.d_c + u, d * (1.0f - z) * phi.derivative(c));
        store(row.d_z + u, d * (h - c) * sigma.derivative(z));
        store(row.d_h + u, d * z);
      }
      pass.clear_padding(row.d_c);
      pass.clear_padding(row.d_z);
    }
    // 2. dq
    pass.backpropagate_product(n, s);
    // 3. dr, and the part of dh that comes through q.
    for (int64_t i = 0; i < n; ++i) {
      const auto row = pass.row(i, s);
      const float* d_product = pass.d_product(i);
      const float* masks = pass.mask(i, Gate::kCandidate);
      for (int64_t u = 0; u < row.padded_units; u += kLanes) {
        const Vector d_q = load(d_product + u), r = load(row.r + u);
        const Vector mask = load(masks + u), h = load(row.h + u) * mask;
        store(row.d_r + u, d_q * h * sigma.derivative(r));
        store(row.d_h + u, load(row.d_h + u) + d_q * r * mask);
      }
      pass.clear_padding(row.d_r);
    }
    // 4. The rest of dh.
    pass.add_products(n, s, Gate::kUpdate, Gate::kReset);
  }
};

}  // namespace GRU_ISA
}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_CELL_RESET_BEFORE_H_
