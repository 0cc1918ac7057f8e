// The choice of the equations: the convention and the activations.
#ifndef TF_GRU_ADDON_NATIVE_CELL_CONVENTION_H_
#define TF_GRU_ADDON_NATIVE_CELL_CONVENTION_H_

#include "cell/reset_after.h"
#include "cell/reset_before.h"

namespace tf_gru_addon {
namespace GRU_ISA {

// Calls f(cell) with the equations that the options ask for. The usual pair of activations
// is compiled in; all others share code that chooses at run time.
template <class F>
static INLINE void with_cell(const GruOptions& options, F f) {
  const auto with = [&](auto sigma, auto phi) INLINE_LAMBDA {
    using Sigma = decltype(sigma);
    using Phi = decltype(phi);
    options.reset_after ? f(ResetAfter<Sigma, Phi>{sigma, phi})
                        : f(ResetBefore<Sigma, Phi>{sigma, phi});
  };
  const GruActivation sigma = options.recurrent_activation, phi = options.activation;
  if (sigma == GRU_SIGMOID && phi == GRU_TANH) {
    with(Activation<GRU_SIGMOID>{GRU_SIGMOID}, Activation<GRU_TANH>{GRU_TANH});
  } else {
    with(Activation<kAnyActivation>{sigma}, Activation<kAnyActivation>{phi});
  }
}

}  // namespace GRU_ISA
}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_CELL_CONVENTION_H_
