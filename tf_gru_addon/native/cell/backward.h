// The backward pass over one thread's rows and the steps of one chunk.
//
// For each step, the equations in `reset_after.h` and `reset_before.h` give the gradients
// of the gates and of the state. After the last step, one product gives the gradients of
// all the chunk's inputs; `weight_gradients.h` then does the same for the weights.
#ifndef TF_GRU_ADDON_NATIVE_CELL_BACKWARD_H_
#define TF_GRU_ADDON_NATIVE_CELL_BACKWARD_H_

#include "cell/convention.h"
#include "cell/operands.h"
#include "gemm/driver.h"

namespace tf_gru_addon {
namespace GRU_ISA {

// The arrays of one row at one step, [padded_units] each.
struct StepRow {
  int64_t padded_units;
  const float *z, *r, *c, *product;       // as kept by the forward pass
  const float* h;                         // the state before the step
  float *d_c, *d_z, *d_r, *d_product;     // the planes of the gradients
  float* d_h;  // the gradient of the state: after the step, then before it
};

class Backward {
 public:
  Backward(const BackwardCall& call, const Share& share)
      : call_(call),
        share_(share),
        U_(call.options.units),
        padded_(call.padded_units),
        masks_(mask_count(call.in.recurrent_masks)) {}

  // Returns false if memory ran out.
  template <class Cell>
  bool run(const Cell& cell) {
    Arena measure{nullptr, 0};
    cut(measure);
    Arena arena{allocate(measure.used), 0};
    if (arena.block == nullptr) return false;
    cut(arena);
    start();
    for (int64_t s = call_.end_step; s-- > call_.first_step;)
      cell.backward_step(*this, active_rows(share_, s), s);
    input_gradients();
    if (call_.first_step == 0) finish();
    release(arena.block);
    return true;
  }

  // What the equations of a step use. i: an active row; s: the step; u: a unit.

  // Adds the gradients of the outputs to d_h, and loads the state before the step.
  INLINE StepRow begin_row(int64_t i, int64_t s) const {
    add_upstream(i, s);
    load_operands(i, s);
    return row(i, s);
  }

  INLINE StepRow row(int64_t i, int64_t s) const {
    const Row& row = share_.rows[i];
    const float* kept = call_.up.gates + kept_at(call_, row, position(row, s));
    const int64_t stride = call_.kept_stride;
    float* d_gates = gradients(chunk_row(row, s), 0);
    return {padded_,
            kept + Kept::kUpdate * stride,
            kept + Kept::kReset * stride,
            kept + Kept::kCandidate * stride,
            kept + Kept::kProduct * stride,
            previous_ + i * stride_,
            d_gates + Gradient::kCandidate * padded_,
            d_gates + Gradient::kUpdate * padded_,
            d_gates + Gradient::kReset * padded_,
            d_gates + Gradient::kProduct * padded_,
            d_state(i)};
  }

  // The gradient of r * h, for ResetBefore.
  float* d_product(int64_t i) const { return d_product_ + i * stride_; }

  // The dropout mask of a gate's h, [padded_units]; ones without dropout. They come from
  // memory: with a constant 1, the compiler could choose another rounding.
  const float* mask(int64_t i, int gate) const {
    return mask_ + (i * masks_ + (masks_ == kGates ? gate : 0)) * padded_;
  }

  // Zeroes the padding of a plane of gradients. Products multiply it by the padding of the
  // weights, which is 0; an infinity or NaN in it would make the whole sum NaN.
  void clear_padding(float* plane) const { zero(plane + U_, padded_ - U_); }

  // Sets d_product to the gradient of r * h.
  void backpropagate_product(int64_t n, int64_t s) const {
    backpropagate(n, s, Gate::kCandidate, Gate::kCandidate,
                  [&](int64_t i, int64_t u, Vector sum) INLINE_LAMBDA {
                    store(d_product(i) + u, sum);
                  });
  }

  // Adds to d_h what comes through the products of the gates from `first` to `last`.
  void add_products(int64_t n, int64_t s, int first, int last) const {
    if (masks_ == kGates) {  // a mask for each product
      for (int gate = first; gate <= last; ++gate) add_product(n, s, gate, gate);
    } else {
      add_product(n, s, first, last);
    }
  }

 private:
  void cut(Arena& arena) {
    const int64_t n = share_.count, steps = call_.end_step - call_.first_step;
    const int64_t F = call_.options.features;
    stride_ = padded_ + kStagger;
    previous_ = arena.take<float>(n * stride_);
    d_product_ = arena.take<float>(call_.options.reset_after ? 0 : n * stride_);
    mask_ = arena.take<float>((masks_ ? n * masks_ : 1) * padded_);
    masked_ = arena.take<float>(kGates * F > padded_ ? kGates * F : padded_);
    const int64_t chunk_rows = n * steps;
    pointers_ = arena.take<const float*>(chunk_rows > n ? chunk_rows : n);
    outputs_ = arena.take<float*>(chunk_rows);
  }

  void start() {
    for (int64_t u = 0; u < padded_; u += kLanes) store(mask_ + u, splat(1));
    for (int64_t i = 0; i < share_.count; ++i)
      padded_masks(call_, share_.rows[i].index, mask_ + i * masks_ * padded_);
  }

  int64_t chunk_row(const Row& row, int64_t s) const {
    return call_.offsets[row.rank] + s - call_.first_step;
  }

  // A plane of gradients of a chunk row.
  float* gradients(int64_t chunk_row, int plane) const {
    return call_.gradients + chunk_row * gradient_stride(call_) + plane * padded_;
  }

  float* d_state(int64_t i) const { return call_.d_state + share_.rows[i].rank * padded_; }

  // done(i, u, sum) with the sum, over the gates from `first` to `last`, of their
  // gradients times the transposed recurrent kernel.
  template <class Done>
  INLINE void backpropagate(int64_t n, int64_t s, int first, int last, Done done) const {
    const int plane = state_plane(first, call_.options.reset_after);
    for (int64_t i = 0; i < n; ++i)
      pointers_[i] = gradients(chunk_row(share_.rows[i], s), plane);
    Panels panels = call_.recurrent;
    panels.data += first * padded_ * panels.row_stride;
    sweep(
        pointers_, n, (last + 1 - first) * padded_, gradient_block(kGates * padded_),
        panels, [&](int64_t, int64_t) INLINE_LAMBDA { return splat(0); },
        [&](int64_t i, int64_t panel, const float* sums) INLINE_LAMBDA {
          for (int v = 0; v < kPanelVectors; ++v) {
            const int64_t u = (panel * kPanelVectors + v) * kLanes;
            if (u < padded_) done(i, u, load(sums + v * kLanes));
          }
        });
  }

  void add_product(int64_t n, int64_t s, int first, int last) const {
    backpropagate(n, s, first, last,
                  [&](int64_t i, int64_t u, Vector sum) INLINE_LAMBDA {
                    float* d_h = d_state(i) + u;
                    const Vector part = masks_ ? sum * load(mask(i, first) + u) : sum;
                    store(d_h, load(d_h) + part);
                  });
  }

  // Adds the gradients of the outputs that show the state after this step.
  void add_upstream(int64_t i, int64_t s) const {
    const Row& row = share_.rows[i];
    const int64_t T = call_.options.timesteps, at = position(row, s);
    const bool carried = !call_.options.zero_output_for_mask;
    const bool last = s + 1 == row.steps;
    const int64_t next = last ? T : position(row, s + 1);
    float* d = d_state(i);
    if (call_.up.d_outputs) {
      for (int64_t t = at; t < (carried ? next : at + 1); ++t) {
        const float* from = call_.up.d_outputs + output_at(call_, row, t) * U_;
        for (int64_t u = 0; u < U_; ++u) d[u] += from[u];
      }
    }
    if (call_.up.d_last_output && last && (carried || at == T - 1)) {
      const float* from = call_.up.d_last_output + row.index * U_;
      for (int64_t u = 0; u < U_; ++u) d[u] += from[u];
    }
  }

  // Loads the state before the step, and lays out the operands of the weights.
  void load_operands(int64_t i, int64_t s) const {
    const Row& row = share_.rows[i];
    const int64_t F = call_.options.features, at = position(row, s);
    const int64_t to = chunk_row(row, s);
    const float* x = call_.in.inputs + input_at(call_, row, at) * F;
    if (call_.in.input_masks[0]) {
      masked_input(call_, row.index, x, masked_);
      x = masked_;
    }
    for (int g = 0; g < call_.input_operands; ++g)
      lay_out(x + g * F, F, call_.inputs + g * operand_size(call_, F), to);

    float* h = previous_ + i * stride_;
    copy(h,
         s ? call_.up.outputs + output_at(call_, row, position(row, s - 1)) * U_
           : call_.in.initial_state + row.index * U_,
         U_);
    zero(h + U_, padded_ - U_);
    const int64_t size = operand_size(call_, U_);
    if (masks_ == 0) lay_out(h, U_, call_.states, to);
    for (int g = 0; g < masks_; ++g) {
      for (int64_t u = 0; u < U_; ++u) masked_[u] = h[u] * mask(i, g)[u];
      lay_out(masked_, U_, call_.states + g * size, to);
    }
    if (!call_.options.reset_after) {
      const float* product =
          call_.up.gates + kept_at(call_, row, at) + Kept::kProduct * call_.kept_stride;
      lay_out(product, U_, call_.states + state_operand(call_, Gate::kCandidate) * size,
              to);
    }
  }

  // Copies a row of an operand into its strips.
  void lay_out(const float* from, int64_t count, float* operand, int64_t row) const {
    float* to = operand + row * kMaxRows;
    for (; count >= kMaxRows; count -= kMaxRows, from += kMaxRows) {
      memcpy(to, from, sizeof(float) * kMaxRows);
      to += strip_stride(call_);
    }
    copy(to, from, count);
  }

  // Computes the gradients of the chunk's inputs.
  void input_gradients() const {
    const int64_t F = call_.options.features;
    const int masks = mask_count(call_.in.input_masks);
    int64_t rows = 0;
    for (int64_t i = 0; i < share_.count; ++i) {
      const Row& row = share_.rows[i];
      for (int64_t s = call_.first_step; s < call_.end_step && s < row.steps; ++s) {
        pointers_[rows] = gradients(chunk_row(row, s), 0);
        outputs_[rows] =
            call_.out.d_inputs + input_at(call_, row, position(row, s)) * F;
        if (masks) zero(outputs_[rows], F);
        ++rows;
      }
    }
    if (masks == 0) {
      multiply_kernel(rows, 0, kGates * padded_, [](float* to, const float* sums, int64_t,
                                               int64_t, int64_t width) {
        copy(to, sums, width);
      });
      return;
    }
    for (int plane = 0; plane < masks; ++plane) {
      const float* all = call_.in.input_masks[masks == kGates ? gate_of(plane) : 0];
      multiply_kernel(rows, plane, kGates / masks * padded_,
                      [&](float* to, const float* sums, int64_t i, int64_t k,
                          int64_t width) {
                        const int64_t batch =
                            (outputs_[i] - call_.out.d_inputs) / (F * call_.options.timesteps);
                        const float* mask = all + batch * F + k;
                        for (int64_t l = 0; l < width; ++l) to[l] += sums[l] * mask[l];
                      });
    }
  }

  // put(to, sums, row, feature, width) with the product of the chunk rows' planes, from
  // `plane` on, and the transposed kernel. Call with plane 0, 1, 2 in this order: each call
  // moves the rows on to its plane.
  template <class Put>
  INLINE void multiply_kernel(int64_t rows, int plane, int64_t depth, Put put) const {
    const int64_t F = call_.options.features;
    Panels panels = call_.kernel;
    panels.data += plane * padded_ * panels.row_stride;
    for (int64_t i = 0; i < rows && plane; ++i) pointers_[i] += padded_;
    sweep(
        pointers_, rows, depth, gradient_block(kGates * padded_), panels,
        [&](int64_t, int64_t) INLINE_LAMBDA { return splat(0); },
        [&](int64_t i, int64_t panel, const float* sums) INLINE_LAMBDA {
          const int64_t k = panel * kTileWidth;
          put(outputs_[i] + k, sums, i, k, F - k < kTileWidth ? F - k : kTileWidth);
        });
  }

  // Writes the gradients of the initial state, and zeros for the masked inputs.
  void finish() const {
    const int64_t F = call_.options.features, T = call_.options.timesteps;
    for (int64_t i = 0; i < share_.count; ++i) {
      const Row& row = share_.rows[i];
      copy(call_.out.d_initial_state + row.index * U_, d_state(i), U_);
      int64_t step = 0;
      for (int64_t at = 0; row.steps < T && at < T; ++at) {
        if (step < row.steps && position(row, step) == at) {
          ++step;
        } else {
          zero(call_.out.d_inputs + input_at(call_, row, at) * F, F);
        }
      }
    }
  }

  const BackwardCall& call_;
  const Share& share_;
  const int64_t U_, padded_;
  const int masks_;
  int64_t stride_;
  float* previous_;         // the state before the step, [rows, stride]
  float* d_product_;        // the gradient of r * h, [rows, stride]; ResetBefore
  float* mask_;             // [rows, masks, padded_units], or one row of ones
  float* masked_;           // one row's operands
  const float** pointers_;  // [chunk rows], the rows of a product
  float** outputs_;         // [chunk rows], the rows of d_inputs
};

static bool backward(const BackwardCall& call, const Share& share) {
  bool ok = false;
  with_cell(call.options,
            [&](const auto& cell) { ok = Backward(call, share).run(cell); });
  return ok;
}

}  // namespace GRU_ISA
}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_CELL_BACKWARD_H_
