// Every threshold and block size of the library, and how it was found.
//
// "Measured": on a two-core Sapphire Rapids machine with AVX-512 (48 KB of L1 and 2 MB of L2
// per core). "Estimated": chosen by the given argument, without a recorded measurement.
// The size of a tile is no tuning parameter: it follows from the number of registers, see
// `gemm/micro_kernel.h`.
#ifndef TF_GRU_ADDON_NATIVE_RUNTIME_TUNING_H_
#define TF_GRU_ADDON_NATIVE_RUNTIME_TUNING_H_

#include <stdint.h>

namespace tf_gru_addon {

// --- The choice of a path ---------------------------------------------------------------

// Multiplications per thread below which another thread is not woken. Estimated: they take
// about 6 microseconds at a core's peak, comparable to handing over the work.
constexpr double kProductsPerThread = 5e5;

// Tiles of kNominalRows rows and one timestep up to which a call reads the weights in place
// instead of packing them. It depends on the whole call only, never on a thread's share, so
// that the results do not depend on the threads. Estimated: packing takes as long as
// running a few tiles.
constexpr int64_t kUnpackedTiles = 4;
constexpr int64_t kNominalRows = 8;

// --- Layout in memory -------------------------------------------------------------------

// The longest vector of any instruction set, in floats. The kept planes are padded to it:
// their format depends on the units alone.
constexpr int64_t kMostLanes = 16;

// Floats added to strides that would often be powers of two: rows a power of two apart
// share few sets of the caches. One cache line. Measured: the backward pass takes 2 to 5 %
// less time at 512 units and 1024 chunk rows.
constexpr int64_t kStagger = 16;

// --- Forward pass -----------------------------------------------------------------------

// Floats of the projected inputs of a chunk of timesteps. Estimated: 384 KB, so that they are
// still in the L2 cache when the recurrent part reads them, beside the panels.
constexpr int64_t kProjectedFloats = 98304;

// --- Backward pass ----------------------------------------------------------------------

// Chunk rows. Estimated: enough for the products of the weight gradients to run at full
// speed, few enough for their operands to stay in the caches.
constexpr int64_t kChunkRows = 1024;

// The length of a partial sum, in the products that give the gradients of states and inputs:
// a sixth of the depth, within these limits. Longer ones are faster, shorter ones more
// accurate. Measured against Keras: one sum over three gates has 2.8 times Keras' error; at
// a small depth, partial sums of 128 still up to 3 times.
constexpr int64_t kGradientBlockShare = 6;
constexpr int64_t kGradientBlockStep = 16;
constexpr int64_t kGradientBlockLeast = 32;
constexpr int64_t kGradientBlockMost = 128;

// Chunk rows of a partial sum of the weight gradients: the panel of gradients (128 * 3
// vectors, 24 KB with AVX-512) stays in the L1 cache.
constexpr int64_t kWeightRows = 128;

// Chunk rows of a partial sum of the bias gradient. Measured: with one sum over all rows,
// the error was up to 1.36 times Keras'.
constexpr int64_t kBiasRows = 16;

// --- Products ---------------------------------------------------------------------------

// Floats of the left operand that a sweep over all panels reuses: half a megabyte, a quarter
// of the L2 cache. Measured: 1 to 2 % of the backward pass at 512 units, compared with a
// smaller block that left 8 of 64 rows for a second sweep.
constexpr int64_t kSweepFloats = 131072;

// Added to the depth, so that a small depth does not give blocks of very many rows.
// Estimated.
constexpr int64_t kSweepDepth = 64;

// The rows of a panel that a tile prefetches ahead. Estimated: about 2 KB with AVX-512, which
// a tile reads in the time of an access to the L2 cache or two.
constexpr int kPrefetchRows = 12;

// Vectors of columns that the Dense layer computes at once: independent sums that keep the
// multipliers busy. Estimated from the latency and number of the multiply-add units.
constexpr int kDenseVectors = 4;

// --- Threads ----------------------------------------------------------------------------

// A limit against mistyped settings.
constexpr int kMostThreads = 1024;

// How often a waiting thread polls before it sleeps: about 50 microseconds. Measured: waking
// a sleeping thread took as long as a tenth of the backward pass of a small call.
constexpr int kPolls = 550;

// After this many polls, about 5 microseconds, it yields the CPU between polls: on a shared
// CPU, the thread that it waits for may need it.
constexpr int kPollsWithoutYield = 400;

}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_RUNTIME_TUNING_H_
