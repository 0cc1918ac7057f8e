// The backward pass of one thread's rows, over the steps of one chunk.
#ifndef TF_GRU_ADDON_NATIVE_CELL_BACKWARD_H_
#define TF_GRU_ADDON_NATIVE_CELL_BACKWARD_H_

#include "cell/equations.h"
#include "cell/operands.h"
#include "gemm/driver.h"

namespace tf_gru_addon {
namespace GRU_ISA {

template <class Sigma, class Phi>
class Backward {
 public:
  Backward(const BackwardCall& call, const Share& share, Sigma sigma, Phi phi)
      : call_(call),
        share_(share),
        sigma_(sigma),
        phi_(phi),
        U_(call.options.units),
        padded_(call.padded_units),
        masks_(mask_count(call.in.recurrent_masks)) {}

  bool run() {
    Arena measure{nullptr, 0};
    cut(measure);
    Arena arena{allocate(measure.used), 0};
    if (arena.block == nullptr) return false;
    cut(arena);
    for (int64_t i = 0; i < share_.count; ++i)
      padded_masks(call_, share_.rows[i].index, mask(i, 0));
    for (int64_t s = call_.end_step; s-- > call_.first_step;) step(s);
    input_gradients();
    if (call_.first_step == 0) finish();
    release(arena.block);
    return true;
  }

 private:
  void cut(Arena& arena) {
    const int64_t n = share_.count, steps = call_.end_step - call_.first_step;
    stride_ = padded_ + kStagger;
    previous_ = arena.take<float>(n * stride_);
    d_product_ = arena.take<float>(call_.options.reset_after ? 0 : n * stride_);
    mask_ = arena.take<float>(n * masks_ * padded_);
    const int64_t F = call_.options.features;
    masked_ = arena.take<float>(3 * F > padded_ ? 3 * F : padded_);
    const int64_t chunk_rows = n * steps;
    pointers_ = arena.take<const float*>(chunk_rows > n ? chunk_rows : n);
    outputs_ = arena.take<float*>(chunk_rows);
  }

  int64_t chunk_row(const Row& row, int64_t s) const {
    return call_.offsets[row.rank] + s - call_.first_step;
  }

  float* d_gates(int64_t chunk_row, int plane) const {
    return call_.d_gates + chunk_row * d_gates_stride(call_) + plane * padded_;
  }

  float* d_state(int64_t i) const { return call_.d_state + share_.rows[i].rank * padded_; }

  float* mask(int64_t i, int gate) const {
    return mask_ + (i * masks_ + (masks_ == 3 ? gate : 0)) * padded_;
  }

  void step(int64_t s) {
    const int64_t n = active_rows(share_, s);
    for (int64_t i = 0; i < n; ++i) {
      add_upstream(i, s);
      load_operands(i, s);
      gate_gradients(i, s);
    }
    if (call_.options.reset_after) {
      if (masks_ == 3) {
        for (int gate = 0; gate < 3; ++gate) add_product(n, s, kUpdate + gate, 1, gate);
      } else {
        add_product(n, s, kUpdate, 3, 0);
      }
      return;
    }
    through_reset(n, s);
    if (masks_ == 3) {
      for (int gate = 0; gate < 2; ++gate) add_product(n, s, kUpdate + gate, 1, gate);
    } else {
      add_product(n, s, kUpdate, 2, 0);
    }
  }

  // Adds the gradients of the outputs that are this step's state.
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

  // Loads the state before the step, and lays out what the weights act on in it.
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
          call_.up.gates + (output_at(call_, row, at) * 4 + 3) * call_.gate_stride;
      lay_out(product, U_, call_.states + state_operand(call_, 2) * size, to);
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

  // The gradients of the gates, as far as they follow from that of the state; and of the
  // state before, as far as it does not come through a product.
  void gate_gradients(int64_t i, int64_t s) const {
    const Row& row = share_.rows[i];
    const int64_t stride = call_.gate_stride;
    const float* gates =
        call_.up.gates + output_at(call_, row, position(row, s)) * 4 * stride;
    const float* previous = previous_ + i * stride_;
    float* d_gate = d_gates(chunk_row(row, s), 0);
    float* d_h = d_state(i);
    for (int64_t u = 0; u < padded_; u += kLanes) {
      const Vector d = load(d_h + u), h = load(previous + u);
      const Vector z = load(gates + u), r = load(gates + stride + u);
      const Vector c = load(gates + 2 * stride + u);
      const Vector d_c = candidate_gradient(phi_, d, z, c);
      store(d_gate + kCandidate * padded_ + u, d_c);
      store(d_gate + kUpdate * padded_ + u, update_gradient(sigma_, d, z, h, c));
      if (call_.options.reset_after) {
        const Vector product = load(gates + 3 * stride + u);
        store(d_gate + kReset * padded_ + u, reset_gradient(sigma_, d_c, r, product));
        store(d_gate + kProduct * padded_ + u, d_c * r);
      }
      store(d_h + u, d * z);
    }
    for (int plane = 0; plane < kPlanes; ++plane) clear_padding(d_gate + plane * padded_);
  }

  // The padding of the gradients meets that of the packed weights in every product: where
  // it is not finite, as after an infinite input, infinity times zero would make each of
  // the sums NaN.
  void clear_padding(float* plane) const { zero(plane + U_, padded_ - U_); }

  // Not reset_after: from the gradient of the candidate to that of r and of the h in
  // r * h.
  void through_reset(int64_t n, int64_t s) const {
    product(n, s, kCandidate, 1, 2, [&](int64_t i, int64_t u, Vector sum) INLINE_LAMBDA {
      store(d_product_ + i * stride_ + u, sum);
    });
    for (int64_t i = 0; i < n; ++i) {
      const Row& row = share_.rows[i];
      const float* reset = call_.up.gates + call_.gate_stride +
                           output_at(call_, row, position(row, s)) * 4 * call_.gate_stride;
      float* d_reset = d_gates(chunk_row(row, s), kReset);
      float* d_h = d_state(i);
      for (int64_t u = 0; u < padded_; u += kLanes) {
        const Vector d = load(d_product_ + i * stride_ + u), r = load(reset + u);
        const Vector factor = masks_ ? load(mask(i, 2) + u) : splat(1);
        const Vector h = load(previous_ + i * stride_ + u) * factor;
        store(d_reset + u, reset_gradient(sigma_, d, r, h));
        store(d_h + u, load(d_h + u) + d * r * factor);
      }
      clear_padding(d_reset);
    }
  }

  // done(row, unit, sum) for the product of `planes` planes of the gates' gradients with
  // the transposed recurrent kernel, from `gate` on.
  template <class Done>
  INLINE void product(int64_t n, int64_t s, int plane, int planes, int gate,
                      Done done) const {
    for (int64_t i = 0; i < n; ++i)
      pointers_[i] = d_gates(chunk_row(share_.rows[i], s), plane);
    Panels panels = call_.recurrent;
    panels.data += gate * padded_ * panels.row_stride;
    sweep(
        pointers_, n, planes * padded_, gradient_block(3 * padded_), panels,
        [&](int64_t, int64_t) INLINE_LAMBDA { return splat(0); },
        [&](int64_t i, int64_t panel, const float* sums) INLINE_LAMBDA {
          for (int v = 0; v < kPanelVectors; ++v) {
            const int64_t u = (panel * kPanelVectors + v) * kLanes;
            if (u < padded_) done(i, u, load(sums + v * kLanes));
          }
        });
  }

  // Adds to the gradient of the state what comes through these gates' products.
  void add_product(int64_t n, int64_t s, int plane, int planes, int gate) const {
    product(n, s, plane, planes, gate, [&](int64_t i, int64_t u, Vector sum) INLINE_LAMBDA {
      float* d_h = d_state(i) + u;
      store(d_h, load(d_h) + (masks_ ? sum * load(mask(i, gate) + u) : sum));
    });
  }

  void input_gradients() const {
    const int64_t F = call_.options.features;
    const int masks = mask_count(call_.in.input_masks);
    int64_t rows = 0;
    for (int64_t i = 0; i < share_.count; ++i) {
      const Row& row = share_.rows[i];
      for (int64_t s = call_.first_step; s < call_.end_step && s < row.steps; ++s) {
        pointers_[rows] = d_gates(chunk_row(row, s), 0);
        outputs_[rows] =
            call_.out.d_inputs + input_at(call_, row, position(row, s)) * F;
        if (masks) zero(outputs_[rows], F);
        ++rows;
      }
    }
    if (masks == 0) {
      multiply_kernel(rows, 0, 3 * padded_, [](float* to, const float* sums, int64_t,
                                               int64_t, int64_t width) {
        copy(to, sums, width);
      });
      return;
    }
    // Rows of the batch, by the rows of the chunk.
    for (int part = 0; part < (masks == 3 ? 3 : 1); ++part) {
      const float* all = call_.in.input_masks[masks == 3 ? gate_of(part) : 0];
      multiply_kernel(rows, part, (masks == 3 ? 1 : 3) * padded_,
                      [&](float* to, const float* sums, int64_t i, int64_t k,
                          int64_t width) {
                        const int64_t batch =
                            (outputs_[i] - call_.out.d_inputs) / (F * call_.options.timesteps);
                        const float* mask = all + batch * F + k;
                        for (int64_t l = 0; l < width; ++l) to[l] += sums[l] * mask[l];
                      });
    }
  }

  // put(to, sums, row, feature, width) for the product of the chunk rows' planes, from
  // `plane` on, with the transposed kernel.
  template <class Put>
  INLINE void multiply_kernel(int64_t rows, int plane, int64_t depth, Put put) const {
    const int64_t F = call_.options.features;
    Panels panels = call_.kernel;
    panels.data += plane * padded_ * panels.row_stride;
    for (int64_t i = 0; i < rows && plane; ++i) pointers_[i] += padded_;
    sweep(
        pointers_, rows, depth, gradient_block(3 * padded_), panels,
        [&](int64_t, int64_t) INLINE_LAMBDA { return splat(0); },
        [&](int64_t i, int64_t panel, const float* sums) INLINE_LAMBDA {
          const int64_t k = panel * kTileWidth;
          put(outputs_[i] + k, sums, i, k, F - k < kTileWidth ? F - k : kTileWidth);
        });
  }

  // The gradients of the initial state, and zeros for the inputs of masked timesteps.
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
  const Sigma sigma_;
  const Phi phi_;
  const int64_t U_, padded_;
  const int masks_;
  int64_t stride_;
  float* previous_;   // the state before the step, [rows, stride]
  float* d_product_;  // the gradient of r * h, [rows, stride]; not reset_after
  float* mask_;       // [rows, masks, padded_units]
  float* masked_;     // one row's operands
  const float** pointers_;
  float** outputs_;
};

static bool backward(const BackwardCall& call, const Share& share) {
  bool ok = false;
  with_activations(call.options, [&](auto sigma, auto phi) {
    ok = Backward<decltype(sigma), decltype(phi)>(call, share, sigma, phi).run();
  });
  return ok;
}

}  // namespace GRU_ISA
}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_CELL_BACKWARD_H_
