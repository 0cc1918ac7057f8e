// The forward pass of one thread's rows.
//
// The timesteps go by in chunks. A chunk's inputs are first multiplied by the kernel, as
// many rows at once as there are, into a buffer that stays in the cache; then the
// recurrent part runs step by step.
#ifndef TF_GRU_ADDON_NATIVE_CELL_FORWARD_H_
#define TF_GRU_ADDON_NATIVE_CELL_FORWARD_H_

#include "cell/equations.h"
#include "cell/operands.h"
#include "gemm/driver.h"

namespace tf_gru_addon {
namespace GRU_ISA {

template <class Sigma, class Phi>
class Forward {
 public:
  Forward(const ForwardCall& call, const Share& share, Sigma sigma, Phi phi)
      : call_(call),
        share_(share),
        sigma_(sigma),
        phi_(phi),
        U_(call.options.units),
        padded_(call.padded_units),
        input_masks_(mask_count(call.in.input_masks)),
        masks_(mask_count(call.in.recurrent_masks)),
        operand_stride_(masks_ * padded_) {
    steps_ = share.count ? share.rows[0].steps : 0;
    chunk_ = kProjected / (share.count * 3 * padded_ + 1);
    if (chunk_ < 1) chunk_ = 1;
    if (chunk_ > steps_) chunk_ = steps_;
  }

  bool run() {
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
        call_.options.reset_after && masks_ < 3 ? step_at_once(n) : step_by_gates(n);
        end_step(s, n);
        done += n;
      }
    }
    for (int64_t i = 0; i < share_.count; ++i) finish(share_.rows[i]);
    release(arena.block);
    return true;
  }

 private:
  static constexpr int64_t kProjected = 98304;  // floats, about

  void cut(Arena& arena) {
    const int64_t n = share_.count, chunk_rows = n * chunk_;
    state_stride_ = padded_ + kStagger;
    state_ = arena.take<float>(n * state_stride_);
    next_ = arena.take<float>(n * state_stride_);
    operands_ = arena.take<float>(n * operand_stride_);
    mask_ = arena.take<float>(n * operand_stride_);
    projected_ = arena.take<float>(chunk_rows * 3 * padded_);
    inputs_ = arena.take<float>(chunk_rows * input_masks_ * call_.options.features);
    pointers_ = arena.take<const float*>(chunk_rows);
    gates_ = arena.take<float*>(call_.out.gates ? n : 0);
    if (!call_.options.reset_after || masks_ == 3) {
      update_ = arena.take<float>(n * state_stride_);
      reset_ = arena.take<float>(n * state_stride_);
    }
  }

  void start() {
    for (int64_t i = 0; i < share_.count; ++i) {
      const int64_t row = share_.rows[i].index;
      float* h = state_ + i * state_stride_;
      copy(h, call_.in.initial_state + row * U_, U_);
      zero(h + U_, state_stride_ - U_);
      zero(next_ + i * state_stride_, state_stride_);
      padded_masks(call_, row, mask_ + i * operand_stride_);
      for (int64_t u = 0; u < padded_; u += kLanes) set_operands(i, u, load(h + u));
    }
  }

  // Makes x W + b for all rows of the steps, [unit vectors, chunk rows, 3, kLanes].
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
    if (input_masks_ < 3) {
      sweep(
          pointers_, rows, F, F, call_.kernel[0],
          [&](int64_t, int64_t v) INLINE_LAMBDA {
            return bias(static_cast<int>(v % 3), v / 3);
          },
          [&](int64_t i, int64_t j, const float* sums) INLINE_LAMBDA {
            for (int g = 0; g < 3; ++g)
              store(projected(i, j) + g * kLanes, load(sums + g * kLanes));
          });
      return;
    }
    for (int g = 0; g < 3; ++g) {
      for (int64_t i = 0; i < rows && g; ++i) pointers_[i] += F;
      sweep_units(
          rows, F, call_.kernel[g],
          [&](int64_t, int64_t j) INLINE_LAMBDA { return bias(g, j); },
          [&](int64_t i, int64_t j, Vector sum) INLINE_LAMBDA {
            store(projected(i, j) + g * kLanes, sum);
          });
    }
  }

  // A chunk row's projected inputs, vector j of the units: [3, kLanes].
  float* projected(int64_t chunk_row, int64_t j) const {
    return projected_ + (j * chunk_rows_ + chunk_row) * kTileWidth;
  }

  // Of active row i, one gate's.
  INLINE Vector projected(int64_t i, int64_t j, int gate) const {
    return load(projected(chunk_row_ + i, j) + gate * kLanes);
  }

  void begin_step(int64_t s, int64_t n, int64_t chunk_row) {
    chunk_row_ = chunk_row;
    for (int64_t i = 0; i < n; ++i) {
      pointers_[i] = masks_ ? operands_ + i * operand_stride_ : state_ + i * state_stride_;
      if (call_.out.gates) {
        const Row& row = share_.rows[i];
        const int64_t at = output_at(call_, row, position(row, s));
        gates_[i] = call_.out.gates + at * 4 * call_.gate_stride;
      }
    }
  }

  INLINE void keep(int64_t i, int plane, int64_t u, Vector v) const {
    if (call_.out.gates == nullptr) return;
    float* to = gates_[i] + plane * call_.gate_stride + u;
    store(to, v);
    __builtin_prefetch(to + kLanes, 1);  // the next panel's
  }

  // The state as the product of a gate takes it.
  INLINE Vector operand(int64_t i, int64_t u, int gate) const {
    return masks_ ? load(operands_ + i * operand_stride_ +
                         (masks_ == 3 ? gate * padded_ : 0) + u)
                  : load(state_ + i * state_stride_ + u);
  }

  INLINE void set_operands(int64_t i, int64_t u, Vector h) {
    for (int g = 0; g < masks_; ++g) {
      const int64_t at = i * operand_stride_ + g * padded_ + u;
      store(operands_ + at, h * load(mask_ + at));
    }
  }

  // All three products, where they are of the same operand.
  void step_at_once(int64_t n) {
    sweep(
        pointers_, n, U_, U_, call_.recurrent[0],
        [&](int64_t i, int64_t v) INLINE_LAMBDA {
          const int gate = static_cast<int>(v % 3);
          return gate < 2 ? projected(i, v / 3, gate)
                          : load(call_.recurrent_bias + v / 3 * kLanes);
        },
        [&](int64_t i, int64_t j, const float* sums) INLINE_LAMBDA {
          const int64_t u = j * kLanes;
          const Vector r = sigma_(load(sums + kLanes));
          keep(i, 1, u, r);
          finish_unit(i, j, sigma_(load(sums)), r, load(sums + 2 * kLanes));
        });
  }

  // One product after the other.
  void step_by_gates(int64_t n) {
    const bool after = call_.options.reset_after;
    for (int gate = 0; gate < 2; ++gate) {
      for (int64_t i = 0; i < n && masks_ == 3; ++i)
        pointers_[i] = operands_ + i * operand_stride_ + gate * padded_;
      sweep_units(
          n, U_, call_.recurrent[gate],
          [&](int64_t i, int64_t j) INLINE_LAMBDA { return projected(i, j, gate); },
          [&](int64_t i, int64_t j, Vector sum) INLINE_LAMBDA {
            const int64_t u = j * kLanes;
            const Vector value = sigma_(sum);
            if (gate == 0) {
              store(update_ + i * state_stride_ + u, value);
              return;
            }
            keep(i, 1, u, value);
            store(reset_ + i * state_stride_ + u,
                  after ? value : value * operand(i, u, 2));
          });
    }
    for (int64_t i = 0; i < n; ++i)
      pointers_[i] = after ? operands_ + i * operand_stride_ + 2 * padded_
                           : reset_ + i * state_stride_;
    sweep_units(
        n, U_, call_.recurrent[2],
        [&](int64_t i, int64_t j) INLINE_LAMBDA {
          return after ? load(call_.recurrent_bias + j * kLanes) : projected(i, j, 2);
        },
        [&](int64_t i, int64_t j, Vector sum) INLINE_LAMBDA {
          const int64_t at = i * state_stride_ + j * kLanes;
          finish_unit(i, j, load(update_ + at), load(reset_ + at), sum);
        });
  }

  // The candidate and the new state. reset_after: reset is r, and sum is the candidate's
  // recurrent product; else reset is r * h, and sum is what the activation takes.
  INLINE void finish_unit(int64_t i, int64_t j, Vector z, Vector reset, Vector sum) {
    const int64_t u = j * kLanes;
    const bool after = call_.options.reset_after;
    const Vector c = phi_(after ? projected(i, j, 2) + reset * sum : sum);
    const Vector h = new_state(z, load(state_ + i * state_stride_ + u), c);
    store(next_ + i * state_stride_ + u, h);
    keep(i, 0, u, z);
    keep(i, 2, u, c);
    keep(i, 3, u, after ? sum : reset);
  }

  // init(row, j) and done(row, j, sum) for the products with panels of successive units.
  template <class Init, class Done>
  INLINE void sweep_units(int64_t rows, int64_t depth, const Panels& panels, Init init,
                          Done done) {
    sweep(pointers_, rows, depth, depth, panels, init,
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
      for (int64_t u = 0; masks_ && u < padded_; u += kLanes)
        set_operands(i, u, load(h + u));
      if (call_.out.outputs)
        copy(call_.out.outputs + output_at(call_, row, position(row, s)) * U_, h, U_);
      if (row.steps == s + 1) copy(call_.out.state + row.index * U_, h, U_);
    }
  }

  // The outputs of a row's masked timesteps, its last output, and the state of a row
  // without steps.
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
  const Sigma sigma_;
  const Phi phi_;
  const int64_t U_, padded_;
  const int input_masks_, masks_;
  const int64_t operand_stride_;
  int64_t steps_;
  int64_t chunk_;  // steps of a chunk
  int64_t state_stride_;
  int64_t chunk_rows_ = 0;  // of all steps of the chunk
  int64_t chunk_row_ = 0;   // the first of the step
  float *state_, *next_;    // [rows, state_stride]
  float *operands_, *mask_;  // [rows, masks, padded_units]
  float* projected_;
  float* inputs_;  // [chunk rows, input masks, features]
  const float** pointers_;
  float** gates_;
  float *update_, *reset_;  // z, and r or r * h, [rows, state_stride]; by gates
};

static bool forward(const ForwardCall& call, const Share& share) {
  bool ok = false;
  with_activations(call.options, [&](auto sigma, auto phi) {
    ok = Forward<decltype(sigma), decltype(phi)>(call, share, sigma, phi).run();
  });
  return ok;
}

}  // namespace GRU_ISA
}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_CELL_FORWARD_H_
