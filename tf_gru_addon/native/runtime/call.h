// What the threads of one call share. This is plain data, with functions of internal
// linkage only: the kernels of every instruction set include this file.
#ifndef TF_GRU_ADDON_NATIVE_RUNTIME_CALL_H_
#define TF_GRU_ADDON_NATIVE_RUNTIME_CALL_H_

#include "cell/planes.h"
#include "gemm/panels.h"
#include "include/gru.h"
#include "runtime/arena.h"
#include "runtime/tuning.h"

namespace tf_gru_addon {

// A sequence of the batch. Its *steps* are its unmasked timesteps, in the order in which
// they run. A *position* is a timestep in that order, masked ones included. Outputs and
// kept planes are stored by position.
struct Row {
  int64_t index;             // in the batch
  int64_t rank;              // among all rows, the longest first
  int64_t steps;
  const int64_t* positions;  // of the steps; null if no timestep is masked
};

static inline int64_t position(const Row& row, int64_t step) {
  return row.positions ? row.positions[step] : step;
}

// The rows of one thread, the longest first.
struct Share {
  const Row* rows;
  int64_t count;
};

// The number of rows of a share that have a step of that number.
static inline int64_t active_rows(const Share& share, int64_t step) {
  int64_t n = share.count;
  while (n > 0 && share.rows[n - 1].steps <= step) --n;
  return n;
}

struct Call {
  GruOptions options;
  GruInputs in;
  int64_t lanes;         // of the instruction set
  int64_t strip;         // rows of a tile, likewise
  int64_t padded_units;  // units, rounded up to whole vectors
  int64_t kept_stride;   // the distance of the kept planes of a timestep
};

// The number of dropout masks: 0, 1 for all gates, or one per gate.
static inline int mask_count(const float* const (&masks)[kGates]) {
  return masks[0] == nullptr ? 0 : masks[1] == nullptr ? 1 : kGates;
}

// The index of a row's timestep in `inputs`, in timesteps.
static inline int64_t input_at(const Call& call, const Row& row, int64_t position) {
  const int64_t T = call.options.timesteps;
  return row.index * T + (call.options.go_backwards ? T - 1 - position : position);
}

// Its index in `outputs`.
static inline int64_t output_at(const Call& call, const Row& row, int64_t position) {
  return row.index * call.options.timesteps + position;
}

// The index of its planes in `gates`, in floats.
static inline int64_t kept_at(const Call& call, const Row& row, int64_t position) {
  return output_at(call, row, position) * kKeptPlanes * call.kept_stride;
}

struct ForwardCall : Call {
  GruOutputs out;
  // If the gates multiply the same operand, only the first, of PanelOrder::kGates; else
  // one per gate, of kUnits.
  Panels kernel[kGates];
  Panels recurrent[kGates];
  const float* input_bias;      // [kGates, padded_units]
  const float* recurrent_bias;  // [padded_units], of the candidate; reset_after
};

// The backward pass goes over the steps in chunks, the last chunk first. In each chunk,
// every thread first runs its rows; then the threads add the chunk's part of the weight
// gradients, one panel of columns at a time. A *chunk row* is a step of a row in the chunk.
struct BackwardCall : Call {
  GruUpstream up;
  GruGradients out;
  Panels kernel;     // kTransposed, the depth in the order of the gradients' planes
  Panels recurrent;  // kTransposed, the depth in the order of the gates
  int64_t first_step, end_step;  // of the chunk
  const int64_t* offsets;        // [B], by rank: a row's first chunk row
  int64_t chunk_rows;
  float* d_state;    // [B, padded_units], by rank: carried from chunk to chunk
  float* gradients;  // [chunk rows, gradient_stride]
  // The operands of the weights, in strips as wide as a tile has rows: a product that sums
  // over the chunk rows then reads memory in order.
  float* inputs;  // [input_operands, strips of the features, strip_stride]
  float* states;  // [state_operands, strips of the units, strip_stride]
  int input_operands, state_operands;
  float* weights;  // [kGradientPlanes, panels, features + units + 1, kPanelVectors, lanes]
};

// The operand that a gate's kernel multiplies.
static inline int input_operand(const BackwardCall& call, int gate) {
  return call.input_operands == kGates ? gate : 0;
}

// The operand that a gate's recurrent kernel multiplies.
static inline int state_operand(const BackwardCall& call, int gate) {
  // r * h, as kept by the forward pass, is the last one.
  if (!call.options.reset_after && gate == Gate::kCandidate)
    return call.state_operands - 1;
  return call.state_operands == kGates ? gate : 0;
}

// The floats of a chunk row's gradients, [kGradientPlanes, padded_units].
static inline int64_t gradient_stride(const BackwardCall& call) {
  return kGradientPlanes * call.padded_units + kStagger;
}

// The floats of a strip, [chunk rows, strip].
static inline int64_t strip_stride(const BackwardCall& call) {
  return call.chunk_rows * call.strip + kStagger;
}

// The floats of an operand with that many columns.
static inline int64_t operand_size(const BackwardCall& call, int64_t columns) {
  return (columns + call.strip - 1) / call.strip * strip_stride(call);
}

// The kernels of one instruction set. `forward` and `backward` return false if memory ran
// out.
struct Kernels {
  const char* name;
  int lanes;
  int strip;
  bool (*forward)(const ForwardCall& call, const Share& share);
  bool (*backward)(const BackwardCall& call, const Share& share);
  void (*weights)(const BackwardCall& call, int plane, int64_t panel);
  void (*dense)(const GruDense& call);
};

// The best kernels that this machine supports, or those that TF_GRU_ADDON_ISA names.
const Kernels& kernels();

}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_RUNTIME_CALL_H_
