/* A GRU over whole sequences, forward and backward, in float32. This is the library's C
 * ABI; it needs no TensorFlow.
 *
 * The equations are in `cell/reset_after.h` and `cell/reset_before.h`. The gates stand in
 * the order z, r, h along the last axis of every weight. B is the batch size, T the number
 * of timesteps, F of features and U of units; each may be 0.
 *
 * Pointers, unless a comment says otherwise:
 *   - Lifetime: the caller owns all structures and arrays. The library reads and writes
 *     them only during the call and keeps no pointer to them.
 *   - Layout: arrays are dense and row-major; comments give their shapes.
 *   - Alignment: that of the element type is enough.
 *   - Aliasing: an array that the call writes must not overlap any other array. Arrays
 *     that it only reads may overlap or be identical.
 *   - Null: allowed where the comment says "null", and for an array without elements.
 *     A pointer to a structure is never null.
 *   - The caller checks all sizes; the library cannot.
 *
 * Memory: a call allocates its workspace and frees it before it returns. The only memory
 * that outlives a call is the thread pool.
 *
 * Threads: all functions may be called from any thread, and from several at once, on the
 * same inputs but not on the same outputs. A call returns when its work is done; no thread
 * touches the caller's arrays afterwards. After a fork, the child may call all functions; it
 * starts a pool of its own.
 *
 * Results: they depend neither on the number of threads nor on the other rows of the batch.
 * They may differ in the last bits between instruction sets.
 */
#ifndef TF_GRU_ADDON_NATIVE_INCLUDE_GRU_H_
#define TF_GRU_ADDON_NATIVE_INCLUDE_GRU_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRU_EXPORT __attribute__((visibility("default")))

/* Every activation: enumerator, name, and the function and derivative in
 * `cell/activations.h`. This list defines the enumeration, the kernels' choice of a function
 * and the names that the TensorFlow ops accept. Append new ones: the position is part of the
 * ABI.
 *
 *   hard_sigmoid        clip(0.2 x + 0.5, 0, 1), as in TensorFlow r2.0
 *   keras_hard_sigmoid  relu6(x + 3) / 6, as in Keras 3
 */
#define GRU_ACTIVATIONS(X)                                                 \
  X(GRU_SIGMOID, "sigmoid", sigmoid, sigmoid_derivative)                   \
  X(GRU_HARD_SIGMOID, "hard_sigmoid", hard_sigmoid, hard_sigmoid_derivative) \
  X(GRU_KERAS_HARD_SIGMOID, "keras_hard_sigmoid", keras_hard_sigmoid,      \
    keras_hard_sigmoid_derivative)                                         \
  X(GRU_TANH, "tanh", tanh, tanh_derivative)                               \
  X(GRU_RELU, "relu", relu, relu_derivative)                               \
  X(GRU_LINEAR, "linear", linear, linear_derivative)

typedef enum {
#define GRU_ENUMERATOR(enumerator, name, function, derivative) enumerator,
  GRU_ACTIVATIONS(GRU_ENUMERATOR)
#undef GRU_ENUMERATOR
  GRU_ACTIVATION_COUNT
} GruActivation;

typedef enum {
  GRU_OK,
  GRU_OUT_OF_MEMORY, /* the contents of the outputs are undefined */
} GruStatus;

typedef struct {
  int64_t batch;
  int64_t timesteps;
  int64_t features;
  int64_t units;
  GruActivation activation;           /* of the candidate */
  GruActivation recurrent_activation; /* of the gates z and r */
  int reset_after;          /* 1: r * (h Uh + b); 0: (r * h) Uh */
  int go_backwards;         /* 1: start at the last timestep; outputs are in that order */
  int zero_output_for_mask; /* 1: masked timesteps output 0; 0: the previous output */
  int threads;              /* the most threads to use; 0: gru_threads() */
  /* Columns per gate in the kernels and the bias, whose last axis is then
   * 3*padded_units; 0: `units`. If it is a multiple of 16, short calls read the weights in
   * place instead of packing them. */
  int64_t padded_units;
} GruOptions;

/* The inputs of both passes; all are only read. */
typedef struct {
  const float* inputs;           /* [B, T, F]; masked timesteps are never read */
  const float* initial_state;    /* [B, U] */
  const float* kernel;           /* [F, 3*U] */
  const float* recurrent_kernel; /* [U, 3*U] */
  const float* bias; /* null, or [3*U]; with reset_after [2, 3*U]: input, recurrent */
  const uint8_t* mask; /* null, or [B, T]: 0 where a timestep is masked */
  /* Dropout masks: all null; only the first, shared by the gates; or all three, in the
   * order z, r, h. */
  const float* input_masks[3];     /* [B, F] each */
  const float* recurrent_masks[3]; /* [B, U] each */
} GruInputs;

/* The results of gru_forward; all are only written. */
typedef struct {
  float* outputs;     /* null, or [B, T, U] */
  float* last_output; /* null, or [B, U] */
  float* state;       /* [B, U], the last state */
  float* gates;       /* null, or [B, T, gru_gates_size(U)]: for gru_backward, in a format
                       * of the library's own; masked timesteps are left unwritten */
} GruOutputs;

/* The inputs of gru_backward besides those of gru_forward; all are only read. */
typedef struct {
  const float* outputs;       /* [B, T, U], written by gru_forward */
  const float* gates;         /* [B, T, gru_gates_size(U)], written by gru_forward */
  const float* d_outputs;     /* null, or [B, T, U] */
  const float* d_last_output; /* null, or [B, U] */
  const float* d_state;       /* null, or [B, U] */
} GruUpstream;

/* The results of gru_backward; all are overwritten, never added to. */
typedef struct {
  float* d_inputs;           /* [B, T, F] */
  float* d_initial_state;    /* [B, U] */
  float* d_kernel;           /* [F, 3*U]; never padded */
  float* d_recurrent_kernel; /* [U, 3*U]; never padded */
  float* d_bias;             /* null, or [3*U]; with reset_after [2, 3*U] */
} GruGradients;

/* A Dense layer for few rows, such as the one after a GRU that runs frame by frame. */
typedef struct {
  int64_t rows;
  int64_t features;
  int64_t units;
  int64_t padded_units;     /* units, rounded up to a multiple of 16 */
  GruActivation activation; /* ignored with `softmax` */
  int softmax;              /* 1: softmax over the units of a row */
  const float* inputs;      /* [rows, features] */
  const float* kernel;      /* [features, padded_units]; zero beyond the units */
  const float* bias;        /* [padded_units]; likewise, never null */
  float* outputs;           /* [rows, padded_units]; undefined beyond the units */
} GruDense;

/* The number of floats of `gates` per timestep of a sequence. */
GRU_EXPORT int64_t gru_gates_size(int64_t units);

/* Runs the forward pass. The same `options` and `inputs` must go to gru_backward. */
GRU_EXPORT GruStatus gru_forward(const GruOptions* options, const GruInputs* inputs,
                                 const GruOutputs* outputs);

/* Computes the gradients of sum(outputs * d_outputs) + sum(last_output * d_last_output) +
 * sum(state * d_state). */
GRU_EXPORT GruStatus gru_backward(const GruOptions* options, const GruInputs* inputs,
                                  const GruUpstream* upstream,
                                  const GruGradients* gradients);

/* Runs the Dense layer, in the calling thread and without allocating memory. */
GRU_EXPORT void gru_dense(const GruDense* dense);

/* Returns the name of an activation, or null if there is none of that number. The string
 * lives as long as the library. */
GRU_EXPORT const char* gru_activation_name(int activation);

/* Returns the instruction set in use: "avx512", "avx2" or "generic". It is the best one of
 * the machine, unless the environment variable TF_GRU_ADDON_ISA names another one that the
 * machine supports. The first call in the process decides. The string lives as long as the
 * library. */
GRU_EXPORT const char* gru_isa(void);

/* Returns the number of threads that `threads` = 0 stands for: the value of the environment
 * variable TF_GRU_ADDON_THREADS, else the number of CPUs that the process may run on. */
GRU_EXPORT int gru_threads(void);

#ifdef __cplusplus
}
#endif

#endif /* TF_GRU_ADDON_NATIVE_INCLUDE_GRU_H_ */
