#include "runtime/arena.h"

#include <stdlib.h>

#include <algorithm>

namespace tf_gru_addon {

float* allocate(int64_t floats) {
  void* p = nullptr;
  const int64_t bytes = static_cast<int64_t>(sizeof(float)) * floats;
  return posix_memalign(&p, kCacheLine, std::max(bytes, kCacheLine)) == 0
             ? static_cast<float*>(p)
             : nullptr;
}

void release(float* floats) { free(floats); }

}  // namespace tf_gru_addon
