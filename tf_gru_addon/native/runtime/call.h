// What the threads of one call share: plain data, so that every instruction set's build
// may include it.
#ifndef TF_GRU_ADDON_NATIVE_RUNTIME_CALL_H_
#define TF_GRU_ADDON_NATIVE_RUNTIME_CALL_H_

#include "include/gru.h"
#include "gemm/panels.h"

namespace tf_gru_addon {

// A sequence of the batch. Its *steps* are its unmasked timesteps, in the order in which
// they are run; a *position* is a timestep in that order, masked ones counted. Outputs
// and gates stand in the order of positions.
struct Row {
  int64_t index;  // in the batch
  int64_t rank;   // among all rows, the longest first
  int64_t steps;
  const int64_t* positions;  // of the steps; null where all timesteps are unmasked
};

static inline int64_t position(const Row& row, int64_t step) {
  return row.positions ? row.positions[step] : step;
}

// The rows that one thread runs, the longest first.
struct Share {
  const Row* rows;
  int64_t count;
};

// How many of a share's rows have a step of that number.
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
  int64_t padded_units;  // units, up to whole vectors
  int64_t gate_stride;   // how far apart the planes of a timestep's gates are
};

// Where the timestep of a row at a position is in `inputs`, counted in timesteps.
static inline int64_t input_at(const Call& call, const Row& row, int64_t position) {
  const int64_t T = call.options.timesteps;
  return row.index * T + (call.options.go_backwards ? T - 1 - position : position);
}

// Where it is in `outputs` and `gates`.
static inline int64_t output_at(const Call& call, const Row& row, int64_t position) {
  return row.index * call.options.timesteps + position;
}

struct ForwardCall : Call {
  GruOutputs out;
  // Where the gates act on the same operand the first alone, kGates; else one a gate,
  // kUnits.
  Panels kernel[3];
  Panels recurrent[3];
  const float* input_bias;      // [3, padded_units]
  const float* recurrent_bias;  // [padded_units], of the candidate; reset_after
};

// The planes of the gates' gradients, in an order in which those that act on the inputs
// (the first three) and those that act on the state (the last three) are neighbours.
enum Plane { kCandidate, kUpdate, kReset, kProduct, kPlanes };

// The backward pass goes over the steps in chunks, the last one first. In each of them
// every thread first runs its rows; then the threads add the chunk to the gradients of
// the weights, a panel of columns each.
struct BackwardCall : Call {
  GruUpstream up;
  GruGradients out;
  Panels kernel;     // kTransposed, its depth in the order of planes 0, 1, 2
  Panels recurrent;  // kTransposed, its depth in the order z, r, h
  int64_t first_step, end_step;  // of the chunk
  const int64_t* offsets;        // [B], by rank: the first of a row's chunk rows
  int64_t chunk_rows;
  float* d_state;  // [B, padded_units], by rank, between the chunks
  // A chunk row is a step of a row, in the chunk.
  float* d_gates;   // [chunk rows, d_gates_stride]
  // What the weights act on, in strips so wide as a tile has rows: a product that sums
  // over the chunk rows then reads them one after the other.
  float* inputs;  // [input_operands, strips of the features, strip_stride]
  float* states;  // [state_operands, strips of the units, strip_stride]
  int input_operands, state_operands;
  float* weights;  // [kPlanes, panels, features + units + 1, kPanelVectors, lanes]
};

// Which of a chunk row's operands a gate's weights act on.
static inline int input_operand(const BackwardCall& call, int gate) {
  return call.input_operands == 3 ? gate : 0;
}

static inline int state_operand(const BackwardCall& call, int gate) {
  if (call.options.reset_after) return call.state_operands == 3 ? gate : 0;
  if (gate == 2) return call.state_operands - 1;  // r * h, as the forward pass left it
  return call.state_operands == 3 ? gate : 0;
}

// Strides that are no powers of two: what lies a large one apart falls into few of the
// caches' sets.
constexpr int64_t kStagger = 16;

// Of a chunk row's gradients of the gates, [kPlanes, padded_units].
static inline int64_t d_gates_stride(const BackwardCall& call) {
  return kPlanes * call.padded_units + kStagger;
}

// Of a strip, [chunk rows, strip].
static inline int64_t strip_stride(const BackwardCall& call) {
  return call.chunk_rows * call.strip + kStagger;
}

// The floats of one operand of so many columns.
static inline int64_t operand_size(const BackwardCall& call, int64_t columns) {
  return (columns + call.strip - 1) / call.strip * strip_stride(call);
}

// The gate of a plane.
static inline int gate_of(int plane) {
  return plane == kUpdate ? 0 : plane == kReset ? 1 : 2;
}

// What an instruction set's build provides. The functions return false where memory ran
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

// The best that this machine has, or what TF_GRU_ADDON_ISA names.
const Kernels& kernels();

// Floats on a cache line's boundary, or null.
float* allocate(int64_t floats);
void release(float* floats);

}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_RUNTIME_CALL_H_
