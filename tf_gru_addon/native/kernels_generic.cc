// The kernels for the least that every machine of the kind has.
#define GRU_ISA generic
#include "backward.h"
#include "dense.h"
#include "forward.h"
#include "weights.h"

namespace tf_gru_addon {

extern const Kernels kernels_generic;
const Kernels kernels_generic = {"generic", generic::kLanes, generic::kMaxRows, generic::forward,
                               generic::backward, generic::weights, generic::dense};

}  // namespace tf_gru_addon
