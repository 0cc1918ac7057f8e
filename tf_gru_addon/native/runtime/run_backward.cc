#include <algorithm>
#include <atomic>
#include <new>

#include "runtime/pool.h"
#include "runtime/run.h"
#include "runtime/schedule.h"

namespace tf_gru_addon {
namespace {

// Finds the first chunk row of each row of the batch; returns the number of chunk rows.
int64_t find_chunk_rows(const Schedule& schedule, int64_t first, int64_t end,
                        int64_t* offsets) {
  int64_t count = 0;
  for (const Row& row : schedule.rows()) {
    offsets[row.rank] = count;
    count += std::clamp<int64_t>(row.steps - first, 0, end - first);
  }
  return count;
}

// Copies some rows of a plane's weight gradients from panels to the columns of its gate.
void put_columns(const BackwardCall& call, int plane, int64_t first, int64_t rows,
                 float* to) {
  const int64_t U = call.options.units, width = kPanelVectors * call.lanes;
  const int64_t panels = panel_count(call.padded_units / call.lanes);
  const int64_t all_rows = call.options.features + U + 1;
  for (int64_t panel = 0; panel < panels; ++panel) {
    const float* from =
        call.weights + ((plane * panels + panel) * all_rows + first) * width;
    const int64_t columns = std::min(width, U - panel * width);
    for (int64_t i = 0; i < rows; ++i)
      std::copy_n(from + i * width, columns,
                  to + (i * kGates + gate_of(plane)) * U + panel * width);
  }
}

void put_weight_gradients(const BackwardCall& call, int plane) {
  const int64_t F = call.options.features, U = call.options.units;
  const bool after = call.options.reset_after;
  float* bias = call.out.d_bias;
  if (acts_on_inputs(plane)) {
    put_columns(call, plane, 0, F, call.out.d_kernel);
    if (bias) put_columns(call, plane, F + U, 1, bias);
  }
  if (acts_on_state(plane, after)) {
    put_columns(call, plane, F, U, call.out.d_recurrent_kernel);
    if (bias && after) put_columns(call, plane, F + U, 1, bias + kGates * U);
  }
}

}  // namespace

void run_backward(const GruOptions& options, const GruInputs& inputs,
                  const GruUpstream& upstream, const GruGradients& gradients) {
  const Call base = make_call(options, inputs);
  const Schedule schedule(base);
  const int64_t B = options.batch, F = options.features, U = options.units;
  const int64_t padded = base.padded_units, columns = gate_columns(options);
  const int threads = threads_for(options, schedule.steps(), 2);

  BackwardCall call{};
  static_cast<Call&>(call) = base;
  call.up = upstream;
  call.out = gradients;
  Packer packer(threads);
  const Packing kernel{inputs.kernel,
                       PanelOrder::kTransposed,
                       F,
                       U,
                       columns,
                       call.lanes,
                       {Gate::kCandidate, Gate::kUpdate, Gate::kReset}};
  const Packing recurrent{inputs.recurrent_kernel,
                          PanelOrder::kTransposed,
                          U,
                          U,
                          columns,
                          call.lanes,
                          {Gate::kUpdate, Gate::kReset, Gate::kCandidate}};
  call.kernel = packed(kernel, packer.add(kernel));
  call.recurrent = packed(recurrent, packer.add(recurrent));
  packer.run();

  // At least one step, even if all are masked: `backward` also writes results that depend
  // on no step.
  const int64_t longest = std::max<int64_t>(schedule.longest(), 1);
  const int64_t chunk_steps = std::min((kChunkRows + B - 1) / B, longest);
  call.chunk_rows = std::min(schedule.steps(), B * chunk_steps);  // at most
  const int state_masks = mask_count(inputs.recurrent_masks);
  call.input_operands = std::max(1, mask_count(inputs.input_masks));
  // Without reset_after, r * h is an operand of its own; it replaces that of the candidate.
  call.state_operands =
      options.reset_after || state_masks == kGates ? std::max(1, state_masks) : 2;
  const int64_t panels = panel_count(padded / call.lanes);
  const int64_t weights =
      kGradientPlanes * panels * (F + U + 1) * kPanelVectors * call.lanes;
  const Floats d_state = make_floats(B * padded, true);
  const Floats planes = make_floats(call.chunk_rows * gradient_stride(call));
  const Floats input_rows = make_floats(call.input_operands * operand_size(call, F));
  const Floats state_rows = make_floats(call.state_operands * operand_size(call, U));
  const Floats sums = make_floats(weights, true);
  std::vector<int64_t> offsets(B);
  call.offsets = offsets.data();
  call.d_state = d_state.get();
  call.gradients = planes.get();
  call.inputs = input_rows.get();
  call.states = state_rows.get();
  call.weights = sums.get();
  if (upstream.d_state)
    for (const Row& row : schedule.rows())
      std::copy_n(upstream.d_state + row.index * U, U, call.d_state + row.rank * padded);

  const auto shares = schedule.shares(threads);
  std::atomic<bool> ok{true};
  int64_t end = longest;
  while (end > 0 && ok) {
    call.end_step = end;
    call.first_step = end = std::max<int64_t>(end - chunk_steps, 0);
    call.chunk_rows =
        find_chunk_rows(schedule, call.first_step, call.end_step, offsets.data());
    parallel(shares.size(), threads, [&](int64_t i) {
      const Share share{shares[i].data(), static_cast<int64_t>(shares[i].size())};
      if (!kernels().backward(call, share)) ok = false;
    });
    if (!ok) break;
    parallel(kGradientPlanes * panels, threads, [&](int64_t i) {
      // The planes with the most work first.
      constexpr int kOrder[] = {Gradient::kUpdate, Gradient::kReset, Gradient::kProduct,
                                Gradient::kCandidate};
      kernels().weights(call, kOrder[i / panels], i % panels);
    });
  }
  if (!ok) throw std::bad_alloc();
  parallel(kGradientPlanes, threads, [&](int64_t plane) {
    put_weight_gradients(call, static_cast<int>(plane));
  });
}

}  // namespace tf_gru_addon
