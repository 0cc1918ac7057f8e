#include "runtime/run.h"

#include <algorithm>
#include <new>

#include "runtime/pool.h"

namespace tf_gru_addon {

Floats make_floats(int64_t count, bool zeros) {
  Floats result(allocate(count));
  if (!result) throw std::bad_alloc();
  if (zeros) std::fill_n(result.get(), count, 0.0f);
  return result;
}

int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

Call make_call(const GruOptions& options, const GruInputs& inputs) {
  const int lanes = kernels().lanes;
  return {options,
          inputs,
          lanes,
          kernels().strip,
          round_up(options.units, lanes),
          gru_gates_size(options.units) / kKeptPlanes};
}

int64_t gate_columns(const GruOptions& options) {
  return options.padded_units > 0 ? options.padded_units : options.units;
}

int threads_for(const GruOptions& o, int64_t steps, int products) {
  const double each = static_cast<double>(kGates) * static_cast<double>(o.units) *
                      static_cast<double>(o.features + o.units);
  const double all = products * static_cast<double>(steps) * each;
  const int most = o.threads > 0 ? o.threads : default_threads();
  return static_cast<int>(std::clamp<double>(all / kProductsPerThread, 1, most));
}

const float* Packer::add(const Packing& packing) {
  packings_.push_back(packing);
  memory_.push_back(make_floats(packed_panels(packing) * packed_panel_size(packing)));
  return memory_.back().get();
}

void Packer::run() const {
  int64_t count = 0;
  for (const Packing& packing : packings_) count += packed_panels(packing);
  parallel(count, threads_, [this](int64_t panel) {
    size_t i = 0;
    for (; panel >= packed_panels(packings_[i]); ++i) panel -= packed_panels(packings_[i]);
    pack_panel(packings_[i], panel, memory_[i].get());
  });
}

}  // namespace tf_gru_addon
