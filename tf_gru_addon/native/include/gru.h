/* A GRU over whole sequences, forward and backward, in float32.
 *
 * The equations and the order of the gates (z, r, h along the last axis of every weight)
 * are those of `tf_gru_addon/ops/gru_step.py`. B is the batch, T the timesteps, F the
 * features and U the units; each may be 0. All arrays are dense, row-major, and need no
 * alignment. No two arrays may overlap unless both are only read.
 *
 * The library allocates whatever workspace it needs and frees it before it returns.
 * Any number of threads may call at once. The numbers depend neither on the number of
 * threads nor on the other rows of the batch.
 */
#ifndef TF_GRU_ADDON_NATIVE_INCLUDE_GRU_H_
#define TF_GRU_ADDON_NATIVE_INCLUDE_GRU_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRU_EXPORT __attribute__((visibility("default")))

typedef enum {
  GRU_SIGMOID,
  GRU_HARD_SIGMOID,       /* clip(0.2 x + 0.5, 0, 1), TensorFlow r2.0's */
  GRU_KERAS_HARD_SIGMOID, /* relu6(x + 3) / 6, Keras 3's */
  GRU_TANH,
  GRU_RELU,
  GRU_LINEAR,
} GruActivation;

typedef enum {
  GRU_OK,
  GRU_OUT_OF_MEMORY,
} GruStatus;

typedef struct {
  int64_t batch;
  int64_t timesteps;
  int64_t features;
  int64_t units;
  GruActivation activation;           /* of the candidate */
  GruActivation recurrent_activation; /* of the gates z and r */
  int reset_after;          /* 1: r * (h Uh + b); 0: (r * h) Uh */
  int go_backwards;         /* 1: from the last timestep; outputs come in that order */
  int zero_output_for_mask; /* 1: a masked timestep's output is 0, else the one before */
  int threads;              /* at most so many; 0: as many as the process has */
  /* Columns that a gate takes in the kernels and the bias below, which then have
   * 3*padded_units where they say 3*U; 0: as many as units. With a multiple of 16, short
   * calls read the weights as they lie and need not pack them. */
  int64_t padded_units;
} GruOptions;

/* What both passes read. */
typedef struct {
  const float* inputs;           /* [B, T, F]; never read where the mask is 0 */
  const float* initial_state;    /* [B, U] */
  const float* kernel;           /* [F, 3*U] */
  const float* recurrent_kernel; /* [U, 3*U] */
  const float* bias; /* null, or [3*U], or with reset_after [2, 3*U]: input, recurrent */
  const uint8_t* mask; /* null, or [B, T]: 0 where the state is carried on */
  /* Dropout masks of the gates' operands: all null; the first alone, which the gates
   * then share; or all three. They may point to the same array. */
  const float* input_masks[3];     /* [B, F] each */
  const float* recurrent_masks[3]; /* [B, U] each */
} GruInputs;

typedef struct {
  float* outputs;     /* null, or [B, T, U] */
  float* last_output; /* null, or [B, U] */
  float* state;       /* [B, U], the last state */
  float* gates;       /* null, or [B, T, gru_gates_size(U)], for gru_backward */
} GruOutputs;

typedef struct {
  const float* outputs;       /* [B, T, U], as gru_forward wrote them */
  const float* gates;         /* [B, T, gru_gates_size(U)], likewise */
  const float* d_outputs;     /* null, or [B, T, U] */
  const float* d_last_output; /* null, or [B, U] */
  const float* d_state;       /* null, or [B, U] */
} GruUpstream;

typedef struct {
  float* d_inputs;           /* [B, T, F] */
  float* d_initial_state;    /* [B, U] */
  float* d_kernel;           /* [F, 3*U] */
  float* d_recurrent_kernel; /* [U, 3*U] */
  float* d_bias;             /* null, or of the bias' shape */
} GruGradients;

/* A Dense layer for a few rows, such as the one behind a GRU that runs frame by frame. */
typedef struct {
  int64_t rows;
  int64_t features;
  int64_t units;
  int64_t padded_units;     /* units, up to a multiple of 16 */
  GruActivation activation; /* without `softmax` */
  int softmax;              /* 1: over the units of a row */
  const float* inputs;      /* [rows, features] */
  const float* kernel;      /* [features, padded_units]; zeros behind the units */
  const float* bias;        /* [padded_units], likewise */
  float* outputs;           /* [rows, padded_units]; behind the units anything */
} GruDense;

/* How many floats of `gates` a timestep of a sequence takes. */
GRU_EXPORT int64_t gru_gates_size(int64_t units);

GRU_EXPORT GruStatus gru_forward(const GruOptions* options, const GruInputs* inputs,
                                 const GruOutputs* outputs);

/* The gradients of the outputs' sum weighted by `upstream`; overwrites `gradients`. */
GRU_EXPORT GruStatus gru_backward(const GruOptions* options, const GruInputs* inputs,
                                  const GruUpstream* upstream,
                                  const GruGradients* gradients);

GRU_EXPORT void gru_dense(const GruDense* dense);

/* The instruction set in use: "avx512", "avx2" or "generic". The best that the machine
 * has, unless the environment variable TF_GRU_ADDON_ISA names another that it has. */
GRU_EXPORT const char* gru_isa(void);

/* The number of threads that `threads` = 0 stands for: the environment variable
 * TF_GRU_ADDON_THREADS, else the CPUs that the process may run on. */
GRU_EXPORT int gru_threads(void);

#ifdef __cplusplus
}
#endif

#endif /* TF_GRU_ADDON_NATIVE_INCLUDE_GRU_H_ */
