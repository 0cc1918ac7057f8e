// The memory of a call.
//
// Nothing here may be compiled into a shared out-of-line function: the kernels of every
// instruction set include this file, and the linker would keep one copy for all.
#ifndef TF_GRU_ADDON_NATIVE_RUNTIME_ARENA_H_
#define TF_GRU_ADDON_NATIVE_RUNTIME_ARENA_H_

#include <stdint.h>

namespace tf_gru_addon {

constexpr int64_t kCacheLine = 64;  // bytes

// Allocates floats, aligned to a cache line. Returns null if there is no memory.
float* allocate(int64_t floats);
void release(float* floats);

// Arrays cut from one block. Run the same sequence of `take` twice: with a null block to
// measure its size, then with the block.
struct Arena {
  float* block;
  int64_t used;  // floats

  template <class T>
  __attribute__((always_inline)) T* take(int64_t count) {
    T* result = block ? reinterpret_cast<T*>(block + used) : nullptr;
    const int64_t bytes = count * static_cast<int64_t>(sizeof(T));
    constexpr int64_t kFloats = kCacheLine / static_cast<int64_t>(sizeof(float));
    used += (bytes + kCacheLine - 1) / kCacheLine * kFloats;
    return result;
  }
};

}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_RUNTIME_ARENA_H_
