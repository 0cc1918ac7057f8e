// The equations of the GRU, forward and backward, for one vector of units.
//
//     z  = sigma(x Wz + h Uz + bz)
//     r  = sigma(x Wr + h Ur + br)
//     c  = phi(x Wh + (r * h) Uh + bh)                          reset_after = 0
//     c  = phi(x Wh + bh_input + r * (h Uh + bh_recurrent))     reset_after = 1
//     h' = z * h + (1 - z) * c
//
// Where there is a recurrent dropout mask, the h in products is the masked one; that in
// h' never is.
#ifndef TF_GRU_ADDON_NATIVE_CELL_EQUATIONS_H_
#define TF_GRU_ADDON_NATIVE_CELL_EQUATIONS_H_

#include "cell/activations.h"

namespace tf_gru_addon {
namespace GRU_ISA {

// Not c + z * (h - c), which would not carry h on exactly where z is 1.
static INLINE Vector new_state(Vector z, Vector h, Vector c) {
  return z * h + (1.0f - z) * c;
}

// From the gradient d of h' to those of what sigma and phi were given.
template <class Sigma>
static INLINE Vector update_gradient(const Sigma& sigma, Vector d, Vector z, Vector h,
                                     Vector c) {
  return d * (h - c) * sigma.derivative(z);
}

template <class Phi>
static INLINE Vector candidate_gradient(const Phi& phi, Vector d, Vector z, Vector c) {
  return d * (1.0f - z) * phi.derivative(c);
}

// d: the gradient of r times `factor`.
template <class Sigma>
static INLINE Vector reset_gradient(const Sigma& sigma, Vector d, Vector r,
                                    Vector factor) {
  return d * factor * sigma.derivative(r);
}

}  // namespace GRU_ISA
}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_CELL_EQUATIONS_H_
