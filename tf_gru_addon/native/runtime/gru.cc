// The functions of the C ABI.

#include "include/gru.h"

#include <algorithm>
#include <exception>

#include "runtime/pool.h"
#include "runtime/run.h"

namespace tf_gru_addon {
namespace {

// Whether there is nothing to compute.
bool is_empty(const GruOptions& o) {
  return o.batch == 0 || o.timesteps == 0 || o.units == 0;
}

void empty_forward(const GruOptions& o, const GruInputs& inputs,
                   const GruOutputs& outputs) {
  const int64_t size = o.batch * o.units;
  std::copy_n(inputs.initial_state, size, outputs.state);
  if (outputs.last_output) std::fill_n(outputs.last_output, size, 0.0f);
}

void empty_backward(const GruOptions& o, const GruUpstream& upstream,
                    const GruGradients& gradients) {
  const int64_t size = o.batch * o.units, columns = kGates * o.units;
  std::fill_n(gradients.d_inputs, o.batch * o.timesteps * o.features, 0.0f);
  if (upstream.d_state) {
    std::copy_n(upstream.d_state, size, gradients.d_initial_state);
  } else {
    std::fill_n(gradients.d_initial_state, size, 0.0f);
  }
  std::fill_n(gradients.d_kernel, o.features * columns, 0.0f);
  std::fill_n(gradients.d_recurrent_kernel, o.units * columns, 0.0f);
  if (gradients.d_bias)
    std::fill_n(gradients.d_bias, (o.reset_after ? 2 : 1) * columns, 0.0f);
}

// Calls f; exceptions must not leave the C ABI.
template <class F>
GruStatus guard(F f) {
  try {
    f();
  } catch (const std::exception&) {  // bad_alloc or length_error
    return GRU_OUT_OF_MEMORY;
  }
  return GRU_OK;
}

}  // namespace
}  // namespace tf_gru_addon

using namespace tf_gru_addon;

extern "C" {

int64_t gru_gates_size(int64_t units) { return kKeptPlanes * round_up(units, kMostLanes); }

GruStatus gru_forward(const GruOptions* options, const GruInputs* inputs,
                      const GruOutputs* outputs) {
  return guard([&] {
    is_empty(*options) ? empty_forward(*options, *inputs, *outputs)
                       : run_forward(*options, *inputs, *outputs);
  });
}

GruStatus gru_backward(const GruOptions* options, const GruInputs* inputs,
                       const GruUpstream* upstream, const GruGradients* gradients) {
  return guard([&] {
    is_empty(*options) ? empty_backward(*options, *upstream, *gradients)
                       : run_backward(*options, *inputs, *upstream, *gradients);
  });
}

void gru_dense(const GruDense* dense) { kernels().dense(*dense); }

const char* gru_activation_name(int activation) {
  static constexpr const char* kNames[] = {
#define NAME(enumerator, name, function, derivative) name,
      GRU_ACTIVATIONS(NAME)
#undef NAME
  };
  return activation >= 0 && activation < GRU_ACTIVATION_COUNT ? kNames[activation]
                                                              : nullptr;
}

const char* gru_isa(void) { return kernels().name; }

int gru_threads(void) { return default_threads(); }

}
