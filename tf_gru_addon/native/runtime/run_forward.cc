#include <algorithm>
#include <atomic>
#include <new>

#include "runtime/pool.h"
#include "runtime/run.h"
#include "runtime/schedule.h"

namespace tf_gru_addon {
namespace {

// Lays out the biases: first those added to the projected inputs, [kGates, padded_units],
// then the recurrent bias of the candidate, [padded_units].
void lay_out_biases(const Call& call, float* to) {
  const int64_t U = call.options.units, padded = call.padded_units;
  const int64_t columns = gate_columns(call.options);
  const float* bias = call.in.bias;
  if (bias == nullptr) return;
  for (int gate = 0; gate < kGates; ++gate)
    std::copy_n(bias + gate * columns, U, to + gate * padded);
  if (!call.options.reset_after) return;
  // Both biases of z and of r only occur as a sum.
  const float* recurrent = bias + kGates * columns;
  for (const int gate : {Gate::kUpdate, Gate::kReset})
    for (int64_t u = 0; u < U; ++u)
      to[gate * padded + u] += recurrent[gate * columns + u];
  std::copy_n(recurrent + Gate::kCandidate * columns, U, to + kGates * padded);
}

}  // namespace

void run_forward(const GruOptions& options, const GruInputs& inputs,
                 const GruOutputs& outputs) {
  const Call base = make_call(options, inputs);
  const Schedule schedule(base);
  const int threads = threads_for(options, schedule.steps(), 1);

  ForwardCall call{};
  static_cast<Call&>(call) = base;
  call.out = outputs;
  const bool same_input = mask_count(inputs.input_masks) < kGates;
  const bool same_state =
      mask_count(inputs.recurrent_masks) < kGates && options.reset_after;
  const auto order = [](bool same) { return same ? PanelOrder::kGates : PanelOrder::kUnits; };
  const int64_t columns = gate_columns(options);
  const Packing kernel{inputs.kernel, order(same_input), options.features,
                       options.units, columns,           call.lanes,
                       {}};
  const Packing recurrent{inputs.recurrent_kernel, order(same_state), options.units,
                          options.units,           columns,           call.lanes,
                          {}};
  Packer packer(threads);
  const int64_t tiles =
      round_up(options.batch, kNominalRows) / kNominalRows * options.timesteps;
  if (columns % call.lanes == 0 && tiles <= kUnpackedTiles) {
    for (int gate = 0; gate < kGates; ++gate) {
      call.kernel[gate] = unpacked(kernel, gate);
      call.recurrent[gate] = unpacked(recurrent, gate);
    }
  } else {
    const float* kernel_panels = packer.add(kernel);
    const float* recurrent_panels = packer.add(recurrent);
    for (int gate = 0; gate < kGates; ++gate) {
      call.kernel[gate] = packed(kernel, kernel_panels, gate);
      call.recurrent[gate] = packed(recurrent, recurrent_panels, gate);
    }
    packer.run();
  }
  const Floats biases = make_floats((kGates + 1) * call.padded_units, true);
  lay_out_biases(call, biases.get());
  call.input_bias = biases.get();
  call.recurrent_bias = biases.get() + kGates * call.padded_units;

  const auto shares = schedule.shares(threads);
  std::atomic<bool> ok{true};
  parallel(shares.size(), threads, [&](int64_t i) {
    const Share share{shares[i].data(), static_cast<int64_t>(shares[i].size())};
    if (!kernels().forward(call, share)) ok = false;
  });
  if (!ok) throw std::bad_alloc();
}

}  // namespace tf_gru_addon
