// The choice of the kernels for this machine.

#include <stdlib.h>
#include <string.h>

#include "runtime/call.h"

namespace tf_gru_addon {

extern const Kernels kernels_generic;
#ifdef __x86_64__
extern const Kernels kernels_avx2;
extern const Kernels kernels_avx512;
#endif

namespace {

const Kernels& choose() {
  const Kernels* found[3];
  int count = 0;
#ifdef __x86_64__
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) found[count++] = &kernels_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    found[count++] = &kernels_avx2;
#endif
  found[count++] = &kernels_generic;
  const char* wanted = getenv("TF_GRU_ADDON_ISA");
  for (int i = 0; wanted && i < count; ++i)
    if (strcmp(found[i]->name, wanted) == 0) return *found[i];
  return *found[0];
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace tf_gru_addon
