// Who runs which rows.
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
  int64_t steps() const { return steps_; }                // of all rows
  int64_t longest() const { return rows_.front().steps; }  // of one

  // One share a thread, or a row. Each row goes to the share that has the fewest steps
  // so far.
  std::vector<std::vector<Row>> shares(int threads) const;

 private:
  std::vector<Row> rows_;
  std::vector<int64_t> positions_;  // [B, T]
  int64_t steps_ = 0;
};

}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_RUNTIME_SCHEDULE_H_
