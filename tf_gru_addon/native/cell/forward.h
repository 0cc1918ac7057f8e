// The forward pass over one thread's rows.
//
// The pass goes over the timesteps in chunks. It first multiplies a chunk's inputs by the
// kernel, all rows and steps at once, into a buffer that stays in the cache. The recurrent
// part then runs step by step; its equations are in `reset_after.h` and `reset_before.h`.
#ifndef TF_GRU_ADDON_NATIVE_CELL_FORWARD_H_
#define TF_GRU_ADDON_NATIVE_CELL_FORWARD_H_

#include "cell/convention.h"
#include "cell/operands.h"
#include "gemm/driver.h"

namespace tf_gru_addon {
namespace GRU_ISA {

class Forward {
 public:
  Forward(const ForwardCall& call, const Share& share)
      : call_(call),
        share_(share),
        U_(call.options.units),
        padded_(call.padded_units),
        input_masks_(mask_count(call.in.input_masks)),
        masks_(mask_count(call.in.recurrent_masks)),
        operand_stride_(masks_ * padded_) {
    steps_ = share.count ? share.rows[0].steps : 0;
    chunk_ = kProjectedFloats / (share.count * kGates * padded_ + 1);
    if (chunk_ < 1) chunk_ = 1;
    if (chunk_ > steps_) chunk_ = steps_;
  }

  // Returns false if memory ran out.
  template <class Cell>
  bool run(const Cell& cell) {
    Arena measure{nullptr, 0};
    cut(measure);
    Arena arena{allocate(measure.used), 0};
    if (arena.block == nullptr) return false;
    cut(arena);
    start();
    for (int64_t first = 0; first < steps_; first += chunk_) {
      const int64_t end = first + chunk_ < steps_ ? first + chunk_ : steps_;
      project(first, end);
      int64_t done = 0;  // chunk rows
      for (int64_t s = first; s < end; ++s) {
        const int64_t n = active_rows(share_, s);
        begin_step(s, n, done);
        cell.forward_step(*this, n);
        end_step(s, n);
        done += n;
      }
    }
    for (int64_t i = 0; i < share_.count; ++i) finish(share_.rows[i]);
    release(arena.block);
    return true;
  }

  // What the equations of a step use. i: an active row; j: a vector of units.

  // Whether all gates multiply the same h.
  bool gates_share_operand() const { return masks_ < kGates; }

  // x W + b of a gate.
  INLINE Vector projected(int64_t i, int64_t j, int gate) const {
    return load(projected(chunk_row_ + i, j) + gate * kLanes);
  }

  INLINE Vector recurrent_bias(int64_t j) const {
    return load(call_.recurrent_bias + j * kLanes);
  }

  INLINE Vector state(int64_t i, int64_t j) const {
    return load(state_ + i * state_stride_ + j * kLanes);
  }

  INLINE void new_state(int64_t i, int64_t j, Vector h) const {
    store(next_ + i * state_stride_ + j * kLanes, h);
  }

  // The h that a gate multiplies.
  INLINE Vector operand(int64_t i, int64_t j, int gate) const {
    return masks_ ? load(operands_ + i * operand_stride_ + gate_offset(gate) + j * kLanes)
                  : state(i, j);
  }

  // z, held from one product of the step to the next.
  INLINE Vector update(int64_t i, int64_t j) const {
    return load(update_ + i * state_stride_ + j * kLanes);
  }
  INLINE void update(int64_t i, int64_t j, Vector z) const {
    store(update_ + i * state_stride_ + j * kLanes, z);
  }

  // r, or r * h, likewise.
  INLINE Vector reset(int64_t i, int64_t j) const {
    return load(reset_ + i * state_stride_ + j * kLanes);
  }
  INLINE void reset(int64_t i, int64_t j, Vector r) const {
    store(reset_ + i * state_stride_ + j * kLanes, r);
  }

  // Stores a value for the backward pass, if there will be one.
  INLINE void keep(int64_t i, int64_t j, Kept::Plane plane, Vector v) const {
    if (call_.out.gates == nullptr) return;
    float* to = kept_[i] + plane * call_.kept_stride + j * kLanes;
    store(to, v);
    __builtin_prefetch(to + kLanes, 1);  // the next panel's
  }

  // The rows of h that a gate multiplies, for `multiply`.
  const float* const* operands(int64_t n, int gate) const {
    for (int64_t i = 0; i < n; ++i)
      pointers_[i] = masks_ ? operands_ + i * operand_stride_ + gate_offset(gate)
                            : state_ + i * state_stride_;
    return pointers_;
  }

  // The rows of `reset`, likewise.
  const float* const* reset_rows(int64_t n) const {
    for (int64_t i = 0; i < n; ++i) pointers_[i] = reset_ + i * state_stride_;
    return pointers_;
  }

  // done(i, j, z, r, h) with the products of h and all recurrent kernels, each added to
  // init(i, j, gate).
  template <class Init, class Done>
  INLINE void multiply_all_gates(int64_t n, Init init, Done done) const {
    static_assert(kPanelVectors == kGates, "a panel holds one vector of each gate");
    sweep(
        operands(n, Gate::kUpdate), n, U_, U_, call_.recurrent[0],
        [&](int64_t i, int64_t v) INLINE_LAMBDA {
          return init(i, v / kGates, static_cast<int>(v % kGates));
        },
        [&](int64_t i, int64_t j, const float* sums) INLINE_LAMBDA {
          done(i, j, load(sums + Gate::kUpdate * kLanes),
               load(sums + Gate::kReset * kLanes), load(sums + Gate::kCandidate * kLanes));
        });
  }

  // done(i, j, sum) with the product of rows and a gate's recurrent kernel, added to
  // init(i, j).
  template <class Init, class Done>
  INLINE void multiply(int64_t n, int gate, const float* const* rows, Init init,
                       Done done) const {
    sweep_units(rows, n, U_, call_.recurrent[gate], init, done);
  }

 private:
  void cut(Arena& arena) {
    const int64_t n = share_.count, chunk_rows = n * chunk_;
    state_stride_ = padded_ + kStagger;
    state_ = arena.take<float>(n * state_stride_);
    next_ = arena.take<float>(n * state_stride_);
    operands_ = arena.take<float>(n * operand_stride_);
    mask_ = arena.take<float>(n * operand_stride_);
    projected_ = arena.take<float>(chunk_rows * kGates * padded_);
    inputs_ = arena.take<float>(chunk_rows * input_masks_ * call_.options.features);
    pointers_ = arena.take<const float*>(chunk_rows);
    kept_ = arena.take<float*>(call_.out.gates ? n : 0);
    if (!call_.options.reset_after || masks_ == kGates) {
      update_ = arena.take<float>(n * state_stride_);
      reset_ = arena.take<float>(n * state_stride_);
    }
  }

  // Where the operand of a gate begins among those of a row.
  int64_t gate_offset(int gate) const { return masks_ == kGates ? gate * padded_ : 0; }

  void start() {
    for (int64_t i = 0; i < share_.count; ++i) {
      const int64_t row = share_.rows[i].index;
      float* h = state_ + i * state_stride_;
      copy(h, call_.in.initial_state + row * U_, U_);
      zero(h + U_, state_stride_ - U_);
      zero(next_ + i * state_stride_, state_stride_);
      padded_masks(call_, row, mask_ + i * operand_stride_);
      set_operands(i);
    }
  }

  // h times each mask.
  void set_operands(int64_t i) const {
    for (int64_t u = 0; masks_ && u < padded_; u += kLanes) {
      const Vector h = load(state_ + i * state_stride_ + u);
      for (int g = 0; g < masks_; ++g) {
        const int64_t at = i * operand_stride_ + g * padded_ + u;
        store(operands_ + at, h * load(mask_ + at));
      }
    }
  }

  // Computes x W + b of all rows of the steps, [unit vectors, chunk rows, kGates, kLanes].
  void project(int64_t first, int64_t end) {
    const int64_t F = call_.options.features;
    int64_t rows = 0;
    for (int64_t s = first; s < end; ++s) {
      for (int64_t i = 0, n = active_rows(share_, s); i < n; ++i, ++rows) {
        const Row& row = share_.rows[i];
        const float* x = call_.in.inputs + input_at(call_, row, position(row, s)) * F;
        pointers_[rows] = x;
        if (input_masks_) {
          float* to = inputs_ + rows * input_masks_ * F;
          masked_input(call_, row.index, x, to);
          pointers_[rows] = to;
        }
      }
    }
    chunk_rows_ = rows;
    const auto bias = [&](int gate, int64_t j) INLINE_LAMBDA {
      return load(call_.input_bias + gate * padded_ + j * kLanes);
    };
    if (input_masks_ < kGates) {
      sweep(
          pointers_, rows, F, F, call_.kernel[0],
          [&](int64_t, int64_t v) INLINE_LAMBDA {
            return bias(static_cast<int>(v % kGates), v / kGates);
          },
          [&](int64_t i, int64_t j, const float* sums) INLINE_LAMBDA {
            for (int g = 0; g < kGates; ++g)
              store(projected(i, j) + g * kLanes, load(sums + g * kLanes));
          });
      return;
    }
    for (int g = 0; g < kGates; ++g) {
      for (int64_t i = 0; i < rows && g; ++i) pointers_[i] += F;
      sweep_units(
          pointers_, rows, F, call_.kernel[g],
          [&](int64_t, int64_t j) INLINE_LAMBDA { return bias(g, j); },
          [&](int64_t i, int64_t j, Vector sum) INLINE_LAMBDA {
            store(projected(i, j) + g * kLanes, sum);
          });
    }
  }

  // The projected inputs of a chunk row, vector j of the units: [kGates, kLanes].
  float* projected(int64_t chunk_row, int64_t j) const {
    return projected_ + (j * chunk_rows_ + chunk_row) * kTileWidth;
  }

  void begin_step(int64_t s, int64_t n, int64_t chunk_row) {
    chunk_row_ = chunk_row;
    for (int64_t i = 0; i < n && call_.out.gates; ++i) {
      const Row& row = share_.rows[i];
      kept_[i] = call_.out.gates + kept_at(call_, row, position(row, s));
    }
  }

  // init(row, j) and done(row, j, sum) for a product with panels of successive units.
  template <class Init, class Done>
  INLINE void sweep_units(const float* const* rows, int64_t count, int64_t depth,
                          const Panels& panels, Init init, Done done) const {
    sweep(rows, count, depth, depth, panels, init,
          [&](int64_t i, int64_t panel, const float* sums) INLINE_LAMBDA {
            for (int v = 0; v < kPanelVectors; ++v) {
              const int64_t j = panel * kPanelVectors + v;
              if (j < panels.vectors) done(i, j, load(sums + v * kLanes));
            }
          });
  }

  void end_step(int64_t s, int64_t n) {
    float* before = state_;
    state_ = next_;
    next_ = before;
    for (int64_t i = 0; i < n; ++i) {
      const Row& row = share_.rows[i];
      const float* h = state_ + i * state_stride_;
      set_operands(i);
      if (call_.out.outputs)
        copy(call_.out.outputs + output_at(call_, row, position(row, s)) * U_, h, U_);
      if (row.steps == s + 1) copy(call_.out.state + row.index * U_, h, U_);
    }
  }

  // Writes the outputs of a row's masked timesteps, its last output, and the state of a
  // row without steps.
  void finish(const Row& row) const {
    const int64_t T = call_.options.timesteps;
    float* state = call_.out.state + row.index * U_;
    if (row.steps == 0) copy(state, call_.in.initial_state + row.index * U_, U_);
    const bool carried = !call_.options.zero_output_for_mask;
    if (call_.out.outputs && row.steps < T) {
      float* outputs = call_.out.outputs + row.index * T * U_;
      int64_t step = 0;
      for (int64_t at = 0; at < T; ++at) {
        if (step < row.steps && position(row, step) == at) {
          ++step;
        } else if (carried && step > 0) {
          copy(outputs + at * U_, outputs + (at - 1) * U_, U_);
        } else {
          zero(outputs + at * U_, U_);
        }
      }
    }
    if (call_.out.last_output) {
      float* last = call_.out.last_output + row.index * U_;
      const bool is_state =
          row.steps > 0 && (carried || position(row, row.steps - 1) == T - 1);
      is_state ? copy(last, state, U_) : zero(last, U_);
    }
  }

  const ForwardCall& call_;
  const Share& share_;
  const int64_t U_, padded_;
  const int input_masks_, masks_;
  const int64_t operand_stride_;
  int64_t steps_;
  int64_t chunk_;  // steps of a chunk
  int64_t state_stride_;
  int64_t chunk_rows_ = 0;    // of all steps of the chunk
  int64_t chunk_row_ = 0;     // the first one of the current step
  float *state_, *next_;      // [rows, state_stride]
  float *operands_, *mask_;   // [rows, masks, padded_units]
  float* projected_;
  float* inputs_;             // masked: [chunk rows, input masks, features]
  const float** pointers_;    // [chunk rows], the rows of a product
  float** kept_;              // [rows], the kept planes of the current step
  float *update_, *reset_;    // [rows, state_stride], only between separate products
};

static bool forward(const ForwardCall& call, const Share& share) {
  bool ok = false;
  with_cell(call.options,
            [&](const auto& cell) { ok = Forward(call, share).run(cell); });
  return ok;
}

}  // namespace GRU_ISA
}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_CELL_FORWARD_H_
