// A call from beginning to end: who does what, on which memory.

#include "include/gru.h"

#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <new>
#include <vector>

#include "runtime/call.h"
#include "runtime/pool.h"
#include "runtime/schedule.h"

namespace tf_gru_addon {

float* allocate(int64_t floats) {
  void* p = nullptr;
  const size_t bytes = sizeof(float) * static_cast<size_t>(std::max<int64_t>(floats, 16));
  return posix_memalign(&p, 64, bytes) == 0 ? static_cast<float*>(p) : nullptr;
}

void release(float* floats) { free(floats); }

namespace {

struct Release {
  void operator()(float* floats) const { release(floats); }
};
using Floats = std::unique_ptr<float, Release>;

Floats make_floats(int64_t count, bool zeros = false) {
  Floats result(allocate(count));
  if (!result) throw std::bad_alloc();
  if (zeros) std::fill_n(result.get(), count, 0.0f);
  return result;
}

int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

int mask_count(const float* const (&masks)[3]) {
  return masks[0] == nullptr ? 0 : masks[1] == nullptr ? 1 : 3;
}

// Columns of a gate in the weights.
int64_t gate_columns(const GruOptions& options) {
  return options.padded_units > 0 ? options.padded_units : options.units;
}

// The threads that are worth their starting for so many multiplications.
int threads_for(const GruOptions& options, double products) {
  constexpr double kWorthwhile = 5e5;
  const int most = options.threads > 0 ? options.threads : default_threads();
  return static_cast<int>(std::clamp<double>(products / kWorthwhile, 1, most));
}

double products_of_a_step(const GruOptions& o) {
  return 3.0 * static_cast<double>(o.units) * static_cast<double>(o.features + o.units);
}

// Packs the panels of several matrices at once.
class Packer {
 public:
  explicit Packer(int threads) : threads_(threads) {}

  // Returns where the panels will stand.
  const float* add(const Packing& packing) {
    packings_.push_back(packing);
    memory_.push_back(make_floats(packed_panels(packing) * packed_panel_size(packing)));
    return memory_.back().get();
  }

  void run() const {
    int64_t count = 0;
    for (const Packing& packing : packings_) count += packed_panels(packing);
    parallel(count, threads_, [this](int64_t panel) {
      size_t i = 0;
      for (; panel >= packed_panels(packings_[i]); ++i) panel -= packed_panels(packings_[i]);
      pack_panel(packings_[i], panel, memory_[i].get());
    });
  }

 private:
  int threads_;
  std::vector<Packing> packings_;
  std::vector<Floats> memory_;
};

Call make_call(const GruOptions& options, const GruInputs& inputs) {
  const int lanes = kernels().lanes;
  return {options, inputs, lanes, kernels().strip, round_up(options.units, lanes),
          gru_gates_size(options.units) / 4};
}

// Lays out the biases: what is added to the projected inputs, then the candidate's
// recurrent one, each gate [padded_units].
void lay_out_biases(const Call& call, float* to) {
  const int64_t U = call.options.units, padded = call.padded_units;
  const int64_t columns = gate_columns(call.options);
  const float* bias = call.in.bias;
  if (bias == nullptr) return;
  for (int gate = 0; gate < 3; ++gate)
    std::copy_n(bias + gate * columns, U, to + gate * padded);
  if (!call.options.reset_after) return;
  // Those of z and r only ever occur as a sum.
  const float* recurrent = bias + 3 * columns;
  for (int64_t u = 0; u < U; ++u) {
    to[u] += recurrent[u];
    to[padded + u] += recurrent[columns + u];
    to[3 * padded + u] = recurrent[2 * columns + u];
  }
}

void run_forward(const GruOptions& options, const GruInputs& inputs,
                 const GruOutputs& outputs) {
  const Call base = make_call(options, inputs);
  const Schedule schedule(base);
  const int threads =
      threads_for(options, static_cast<double>(schedule.steps()) * products_of_a_step(options));

  ForwardCall call{};
  static_cast<Call&>(call) = base;
  call.out = outputs;
  const bool same_input = mask_count(inputs.input_masks) < 3;
  const bool same_state = mask_count(inputs.recurrent_masks) < 3 && options.reset_after;
  const Packing kernel{inputs.kernel, same_input ? PanelOrder::kGates : PanelOrder::kUnits,
                       options.features, options.units, gate_columns(options),
                       call.lanes, {}};
  const Packing recurrent{inputs.recurrent_kernel,
                          same_state ? PanelOrder::kGates : PanelOrder::kUnits,
                          options.units, options.units, gate_columns(options),
                          call.lanes, {}};
  Packer packer(threads);
  // To pack takes as long as to run a few tiles on what lies there.
  constexpr int64_t kFewTiles = 4;
  const int64_t tiles = round_up(options.batch, 8) / 8 * options.timesteps;
  if (gate_columns(options) % call.lanes == 0 && tiles <= kFewTiles) {
    for (int gate = 0; gate < 3; ++gate) {
      call.kernel[gate] = unpacked(kernel, gate);
      call.recurrent[gate] = unpacked(recurrent, gate);
    }
  } else {
    const float* kernel_panels = packer.add(kernel);
    const float* recurrent_panels = packer.add(recurrent);
    for (int gate = 0; gate < 3; ++gate) {
      call.kernel[gate] = packed(kernel, kernel_panels, gate);
      call.recurrent[gate] = packed(recurrent, recurrent_panels, gate);
    }
    packer.run();
  }
  const Floats biases = make_floats(4 * call.padded_units, true);
  lay_out_biases(call, biases.get());
  call.input_bias = biases.get();
  call.recurrent_bias = biases.get() + 3 * call.padded_units;

  const auto shares = schedule.shares(threads);
  std::atomic<bool> ok{true};
  parallel(shares.size(), threads, [&](int64_t i) {
    const Share share{shares[i].data(), static_cast<int64_t>(shares[i].size())};
    if (!kernels().forward(call, share)) ok = false;
  });
  if (!ok) throw std::bad_alloc();
}

// The chunk's rows, and where each row of the batch has its own.
int64_t find_chunk_rows(const Schedule& schedule, int64_t first, int64_t end,
                        int64_t* offsets) {
  int64_t count = 0;
  for (const Row& row : schedule.rows()) {
    offsets[row.rank] = count;
    count += std::clamp<int64_t>(row.steps - first, 0, end - first);
  }
  return count;
}

// Copies what the kernels summed up by panels to one gate's columns.
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
                  to + i * 3 * U + gate_of(plane) * U + panel * width);
  }
}

void put_weight_gradients(const BackwardCall& call, int64_t part) {
  const int64_t F = call.options.features, U = call.options.units;
  const bool after = call.options.reset_after;
  const int plane = static_cast<int>(part);
  if (plane != kProduct) put_columns(call, plane, 0, F, call.out.d_kernel);
  if (after ? plane != kCandidate : plane != kProduct)
    put_columns(call, plane, F, U, call.out.d_recurrent_kernel);
  float* bias = call.out.d_bias;
  if (bias == nullptr) return;
  if (plane != kProduct) put_columns(call, plane, F + U, 1, bias);
  if (after && plane != kCandidate) put_columns(call, plane, F + U, 1, bias + 3 * U);
}

void run_backward(const GruOptions& options, const GruInputs& inputs,
                  const GruUpstream& upstream, const GruGradients& gradients) {
  const Call base = make_call(options, inputs);
  const Schedule schedule(base);
  const int64_t B = options.batch, F = options.features, U = options.units;
  const int64_t padded = base.padded_units;
  const int threads = threads_for(
      options, 2 * static_cast<double>(schedule.steps()) * products_of_a_step(options));

  BackwardCall call{};
  static_cast<Call&>(call) = base;
  call.up = upstream;
  call.out = gradients;
  Packer packer(threads);
  const Packing kernel{inputs.kernel, PanelOrder::kTransposed, F, U,
                       gate_columns(options), call.lanes,
                       {gate_of(0), gate_of(1), gate_of(2)}};
  const Packing recurrent{inputs.recurrent_kernel, PanelOrder::kTransposed, U, U,
                          gate_columns(options), call.lanes, {0, 1, 2}};
  call.kernel = packed(kernel, packer.add(kernel));
  call.recurrent = packed(recurrent, packer.add(recurrent));
  packer.run();

  // Enough rows for a product to run at full speed, few enough to stay in the caches.
  constexpr int64_t kChunkRows = 1024;
  // At least one step, though there be none, for what every row needs done.
  const int64_t longest = std::max<int64_t>(schedule.longest(), 1);
  const int64_t chunk_steps = std::min((kChunkRows + B - 1) / B, longest);
  call.chunk_rows = std::min(schedule.steps(), B * chunk_steps);  // at most
  const int state_masks = mask_count(inputs.recurrent_masks);
  call.input_operands = std::max(1, mask_count(inputs.input_masks));
  call.state_operands =
      options.reset_after || state_masks == 3 ? std::max(1, state_masks) : 2;
  const int64_t panels = panel_count(padded / call.lanes);
  const int64_t weights =
      kPlanes * panels * (F + U + 1) * kPanelVectors * call.lanes;
  const Floats d_state = make_floats(B * padded, true);
  const Floats d_gates = make_floats(call.chunk_rows * d_gates_stride(call));
  const Floats input_rows = make_floats(call.input_operands * operand_size(call, F));
  const Floats state_rows = make_floats(call.state_operands * operand_size(call, U));
  const Floats sums = make_floats(weights, true);
  std::vector<int64_t> offsets(B);
  call.offsets = offsets.data();
  call.d_state = d_state.get();
  call.d_gates = d_gates.get();
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
    parallel(kPlanes * panels, threads, [&](int64_t i) {
      // The largest first.
      constexpr int kOrder[] = {kUpdate, kReset, kProduct, kCandidate};
      kernels().weights(call, kOrder[i / panels], i % panels);
    });
  }
  if (!ok) throw std::bad_alloc();
  parallel(kPlanes, threads, [&](int64_t plane) { put_weight_gradients(call, plane); });
}

// Whether there is nothing to multiply.
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
  const int64_t size = o.batch * o.units, columns = 3 * o.units;
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

}  // namespace
}  // namespace tf_gru_addon

using namespace tf_gru_addon;

extern "C" {

int64_t gru_gates_size(int64_t units) { return 4 * round_up(units, 16); }

GruStatus gru_forward(const GruOptions* options, const GruInputs* inputs,
                      const GruOutputs* outputs) {
  try {
    if (is_empty(*options)) {
      empty_forward(*options, *inputs, *outputs);
    } else {
      run_forward(*options, *inputs, *outputs);
    }
  } catch (const std::exception&) {  // bad_alloc or length_error
    return GRU_OUT_OF_MEMORY;
  }
  return GRU_OK;
}

GruStatus gru_backward(const GruOptions* options, const GruInputs* inputs,
                       const GruUpstream* upstream, const GruGradients* gradients) {
  try {
    if (is_empty(*options)) {
      empty_backward(*options, *upstream, *gradients);
    } else {
      run_backward(*options, *inputs, *upstream, *gradients);
    }
  } catch (const std::exception&) {  // bad_alloc or length_error
    return GRU_OUT_OF_MEMORY;
  }
  return GRU_OK;
}

void gru_dense(const GruDense* dense) { kernels().dense(*dense); }

const char* gru_isa(void) { return kernels().name; }

int gru_threads(void) { return default_threads(); }

}
