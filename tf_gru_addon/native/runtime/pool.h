// The threads that share the work of a call.
#ifndef TF_GRU_ADDON_NATIVE_RUNTIME_POOL_H_
#define TF_GRU_ADDON_NATIVE_RUNTIME_POOL_H_

#include <stdint.h>

namespace tf_gru_addon {

// The result of gru_threads.
int default_threads();

// Calls task(argument, i) for each i in [0, count) on at most `threads` threads, including
// the calling one. Returns when all tasks are done. Several threads may call at once. After a
// fork, the child starts threads of its own.
void run_tasks(int64_t count, int threads, void (*task)(void*, int64_t), void* argument);

template <class Task>
void parallel(int64_t count, int threads, Task task) {
  run_tasks(
      count, threads,
      [](void* argument, int64_t i) { (*static_cast<Task*>(argument))(i); }, &task);
}

}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_RUNTIME_POOL_H_
