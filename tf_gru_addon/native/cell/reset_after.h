// The GRU whose reset gate acts after the recurrent product (reset_after = 1), as in
// cuDNN, PyTorch and Keras 3.
//
//     z  = sigma(x Wz + h Uz + bz)
//     r  = sigma(x Wr + h Ur + br)
//     p  = h Uh + bh_recurrent
//     c  = phi(x Wh + bh_input + r * p)
//     h' = z * h + (1 - z) * c
//
// Backward, from d, the gradient of h'. dz, dr and dc are the gradients of the arguments
// of sigma and phi:
//
//     dc = d * (1 - z) * phi'
//     dz = d * (h - c) * sigma'
//     dr = dc * p * sigma'
//     dp = dc * r
//     dh = d * z + dz Uz^T + dr Ur^T + dp Uh^T
//
// bz and br are the sums of the input and the recurrent bias. With recurrent dropout, the h
// of each product is h times the mask of that gate; the h in h' is never masked.
#ifndef TF_GRU_ADDON_NATIVE_CELL_RESET_AFTER_H_
#define TF_GRU_ADDON_NATIVE_CELL_RESET_AFTER_H_

#include "cell/activations.h"
#include "cell/planes.h"

namespace tf_gru_addon {
namespace GRU_ISA {

template <class Sigma, class Phi>
struct ResetAfter {
  Sigma sigma;
  Phi phi;

  // Forward over one timestep of the first n rows. Row i, vector j of the units.
  template <class Pass>
  void forward_step(Pass& pass, int64_t n) const {
    if (!pass.gates_share_operand()) return forward_step_by_gates(pass, n);
    pass.multiply_all_gates(
        n,
        [&](int64_t i, int64_t j, int gate) INLINE_LAMBDA {
          return gate == Gate::kCandidate ? pass.recurrent_bias(j)
                                          : pass.projected(i, j, gate);
        },
        [&](int64_t i, int64_t j, Vector z_sum, Vector r_sum, Vector p) INLINE_LAMBDA {
          const Vector r = sigma(r_sum);
          pass.keep(i, j, Kept::kReset, r);
          new_state(pass, i, j, sigma(z_sum), r, p);
        });
  }

  // The gates multiply different operands: each has a dropout mask of its own.
  template <class Pass>
  void forward_step_by_gates(Pass& pass, int64_t n) const {
    // 1. z
    pass.multiply(
        n, Gate::kUpdate, pass.operands(n, Gate::kUpdate),
        [&](int64_t i, int64_t j) INLINE_LAMBDA {
          return pass.projected(i, j, Gate::kUpdate);
        },
        [&](int64_t i, int64_t j, Vector sum) INLINE_LAMBDA {
          pass.update(i, j, sigma(sum));
        });
    // 2. r
    pass.multiply(
        n, Gate::kReset, pass.operands(n, Gate::kReset),
        [&](int64_t i, int64_t j) INLINE_LAMBDA {
          return pass.projected(i, j, Gate::kReset);
        },
        [&](int64_t i, int64_t j, Vector sum) INLINE_LAMBDA {
          const Vector r = sigma(sum);
          pass.keep(i, j, Kept::kReset, r);
          pass.reset(i, j, r);
        });
    // 3. p, c and h'
    pass.multiply(
        n, Gate::kCandidate, pass.operands(n, Gate::kCandidate),
        [&](int64_t, int64_t j) INLINE_LAMBDA { return pass.recurrent_bias(j); },
        [&](int64_t i, int64_t j, Vector p) INLINE_LAMBDA {
          new_state(pass, i, j, pass.update(i, j), pass.reset(i, j), p);
        });
  }

  template <class Pass>
  INLINE void new_state(Pass& pass, int64_t i, int64_t j, Vector z, Vector r,
                        Vector p) const {
    const Vector c = phi(pass.projected(i, j, Gate::kCandidate) + r * p);
    // Not c + z * (h - c): where z is 1, h' must be h exactly.
    pass.new_state(i, j, z * pass.state(i, j) + (1.0f - z) * c);
    pass.keep(i, j, Kept::kUpdate, z);
    pass.keep(i, j, Kept::kCandidate, c);
    pass.keep(i, j, Kept::kProduct, p);
  }

  // Backward over step s of the first n rows.
  template <class Pass>
  void backward_step(Pass& pass, int64_t n, int64_t s) const {
    // 1. The gradients of the gates, and the part of dh that comes through no product.
    for (int64_t i = 0; i < n; ++i) {
      const auto row = pass.begin_row(i, s);
      for (int64_t u = 0; u < row.padded_units; u += kLanes) {
        const Vector d = load(row.d_h + u), h = load(row.h + u);
        const Vector z = load(row.z + u), r = load(row.r + u), c = load(row.c + u);
        const Vector p = load(row.product + u);
        const Vector d_c = d * (1.0f - z) * phi.derivative(c);
        store(row.d_c + u, d_c);
        store(row.d_z + u, d * (h - c) * sigma.derivative(z));
        store(row.d_r + u, d_c * p * sigma.derivative(r));
        store(row.d_product + u, d_c * r);
        store(row.d_h + u, d * z);
      }
      pass.clear_padding(row.d_c);
      pass.clear_padding(row.d_z);
      pass.clear_padding(row.d_r);
      pass.clear_padding(row.d_product);
    }
    // 2. The rest of dh.
    pass.add_products(n, s, Gate::kUpdate, Gate::kCandidate);
  }
};

}  // namespace GRU_ISA
}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_CELL_RESET_AFTER_H_
