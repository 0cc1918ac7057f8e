// The kernels for AVX2 with FMA.
#define GRU_ISA avx2
#include "backward.h"
#include "dense.h"
#include "forward.h"
#include "weights.h"

namespace tf_gru_addon {

extern const Kernels kernels_avx2;
const Kernels kernels_avx2 = {"avx2", avx2::kLanes, avx2::kMaxRows, avx2::forward,
                               avx2::backward, avx2::weights, avx2::dense};

}  // namespace tf_gru_addon
