// A call from beginning to end: the plan, the packed weights, the threads.
#ifndef TF_GRU_ADDON_NATIVE_RUNTIME_RUN_H_
#define TF_GRU_ADDON_NATIVE_RUNTIME_RUN_H_

#include <memory>
#include <vector>

#include "runtime/call.h"

namespace tf_gru_addon {

// The batch, timesteps and units must not be 0. Both throw std::bad_alloc or
// std::length_error if memory runs out.
void run_forward(const GruOptions& options, const GruInputs& inputs,
                 const GruOutputs& outputs);
void run_backward(const GruOptions& options, const GruInputs& inputs,
                  const GruUpstream& upstream, const GruGradients& gradients);

struct Release {
  void operator()(float* floats) const { release(floats); }
};
using Floats = std::unique_ptr<float, Release>;

// Allocates floats; throws std::bad_alloc.
Floats make_floats(int64_t count, bool zeros = false);

int64_t round_up(int64_t n, int64_t multiple);

Call make_call(const GruOptions& options, const GruInputs& inputs);

// The columns of a gate in the weights.
int64_t gate_columns(const GruOptions& options);

// The number of threads for so many steps of all rows. A pass makes so many products of the
// size of the weights in each step.
int threads_for(const GruOptions& options, int64_t steps, int products);

// Packs the panels of several matrices in parallel.
class Packer {
 public:
  explicit Packer(int threads) : threads_(threads) {}

  // Returns where `run` will write the panels. They live as long as the packer.
  const float* add(const Packing& packing);
  void run() const;

 private:
  int threads_;
  std::vector<Packing> packings_;
  std::vector<Floats> memory_;
};

}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_RUNTIME_RUN_H_
