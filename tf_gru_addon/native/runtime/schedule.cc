#include "runtime/schedule.h"

#include <algorithm>

namespace tf_gru_addon {

Schedule::Schedule(const Call& call) {
  const int64_t B = call.options.batch, T = call.options.timesteps;
  rows_.reserve(B);
  for (int64_t b = 0; b < B; ++b) rows_.push_back({b, 0, T, nullptr});
  if (call.in.mask) {
    positions_.resize(B * T);
    for (Row& row : rows_) {
      int64_t* positions = positions_.data() + row.index * T;
      row.steps = 0;
      for (int64_t at = 0; at < T; ++at)
        if (call.in.mask[input_at(call, row, at)]) positions[row.steps++] = at;
      if (row.steps < T) row.positions = positions;
    }
    std::stable_sort(rows_.begin(), rows_.end(),
                     [](const Row& a, const Row& b) { return a.steps > b.steps; });
  }
  for (int64_t i = 0; i < B; ++i) {
    rows_[i].rank = i;
    steps_ += rows_[i].steps;
  }
}

std::vector<std::vector<Row>> Schedule::shares(int threads) const {
  const int64_t count = std::clamp<int64_t>(rows_.size(), 1, threads);
  std::vector<std::vector<Row>> result(count);
  std::vector<int64_t> load(count);
  for (const Row& row : rows_) {
    const auto least = std::min_element(load.begin(), load.end()) - load.begin();
    result[least].push_back(row);
    // A row without steps has little work, but some: its outputs.
    load[least] += std::max<int64_t>(row.steps, 1);
  }
  return result;
}

}  // namespace tf_gru_addon
