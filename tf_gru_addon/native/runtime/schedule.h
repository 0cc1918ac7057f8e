// The distribution of rows over threads.
#ifndef TF_GRU_ADDON_NATIVE_RUNTIME_SCHEDULE_H_
#define TF_GRU_ADDON_NATIVE_RUNTIME_SCHEDULE_H_

#include <vector>

#include "runtime/call.h"

namespace tf_gru_addon {

// The rows of the batch, the longest first.
class Schedule {
 public:
  // The batch must not be empty.
  explicit Schedule(const Call& call);

  const std::vector<Row>& rows() const { return rows_; }
  // The steps of all rows, and of the longest one.
  int64_t steps() const { return steps_; }
  int64_t longest() const { return rows_.front().steps; }

  // Distributes the rows over at most `threads` shares. Each row goes to the share with the
  // fewest steps so far.
  std::vector<std::vector<Row>> shares(int threads) const;

 private:
  std::vector<Row> rows_;
  std::vector<int64_t> positions_;  // [B, T]
  int64_t steps_ = 0;
};

}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_RUNTIME_SCHEDULE_H_
