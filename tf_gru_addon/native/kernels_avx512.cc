// The kernels for AVX-512.
#define GRU_ISA avx512
#include "backward.h"
#include "dense.h"
#include "forward.h"
#include "weights.h"

namespace tf_gru_addon {

extern const Kernels kernels_avx512;
const Kernels kernels_avx512 = {"avx512", avx512::kLanes, avx512::kMaxRows, avx512::forward,
                               avx512::backward, avx512::weights, avx512::dense};

}  // namespace tf_gru_addon
