// The kernels of one instruction set.
//
// The build compiles this file once for each instruction set, with its compiler flags and
// with GRU_ISA defined as its name: generic, avx2 or avx512. `runtime/dispatch.cc`
// chooses among the results.
#include "cell/backward.h"
#include "cell/dense.h"
#include "cell/forward.h"
#include "cell/weight_gradients.h"

#define CONCATENATE(a, b) a##b
#define KERNELS(isa) CONCATENATE(kernels_, isa)
#define STRING(text) #text
#define NAME(isa) STRING(isa)

namespace tf_gru_addon {

extern const Kernels KERNELS(GRU_ISA);
const Kernels KERNELS(GRU_ISA) = {
    NAME(GRU_ISA),     GRU_ISA::kLanes,   GRU_ISA::kMaxRows, GRU_ISA::forward,
    GRU_ISA::backward, GRU_ISA::weights, GRU_ISA::dense};

}  // namespace tf_gru_addon
