#include "runtime/pool.h"

#include <pthread.h>
#ifdef __linux__
#include <sched.h>
#endif
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "runtime/tuning.h"

namespace tf_gru_addon {
namespace {

void relax(int poll) {
  if (poll >= kPollsWithoutYield) return std::this_thread::yield();
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

// Work that threads may join. It is on the stack of its caller.
struct Job {
  void (*task)(void*, int64_t);
  void* argument;
  int64_t count;
  int wanted;  // how many more threads may join; under the pool's lock
  std::atomic<int64_t> next{0};
  std::atomic<int> helping{0};

  void work() {
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;)
      task(argument, i);
  }
};

class Pool {
 public:
  void run(Job& job) {
    const int wanted = job.wanted;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      while (started_ < wanted && start_thread()) {
      }
      jobs_.push_back(&job);
      waiting_.fetch_add(1, std::memory_order_relaxed);
    }
    for (int i = 0; i < wanted; ++i) work_.notify_one();
    job.work();
    {
      std::lock_guard<std::mutex> lock(mutex_);
      remove(job);
    }
    // No thread can join any more; wait for those that did.
    for (int poll = 0; poll < kPolls; ++poll) {
      if (job.helping.load(std::memory_order_acquire) == 0) return;
      relax(poll);
    }
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [&] { return job.helping.load(std::memory_order_acquire) == 0; });
  }

 private:
  bool start_thread() {
    try {
      std::thread([this] { serve(); }).detach();
    } catch (const std::system_error&) {
      return false;  // The calling thread then does all the work.
    }
    ++started_;
    return true;
  }

  void remove(Job& job) {
    const auto at = std::find(jobs_.begin(), jobs_.end(), &job);
    if (at == jobs_.end()) return;
    jobs_.erase(at);
    waiting_.fetch_sub(1, std::memory_order_relaxed);
  }

  void serve() {
    for (;;) {
      for (int poll = 0; poll < kPolls; ++poll) {
        if (waiting_.load(std::memory_order_relaxed) > 0) break;
        relax(poll);
      }
      Job* job;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        if (jobs_.empty()) work_.wait(lock);
        // That job is taken. Poll again: the call's next one comes within microseconds.
        if (jobs_.empty()) continue;
        job = jobs_.front();
        job->helping.fetch_add(1, std::memory_order_relaxed);
        if (--job->wanted == 0) remove(*job);
      }
      job->work();
      // Hold the lock, so that the caller cannot miss the signal. Once the count is 0, the
      // job no longer exists.
      std::lock_guard<std::mutex> lock(mutex_);
      if (job->helping.fetch_sub(1, std::memory_order_release) == 1) done_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable work_, done_;
  std::vector<Job*> jobs_;
  std::atomic<int> waiting_{0};  // the size of jobs_, readable without the lock
  int started_ = 0;
};

// The pool is never destroyed: its threads wait in it until the process ends. A forked child
// has none of the threads, and may have inherited a locked mutex: it constructs a new pool in
// the same place.
alignas(Pool) unsigned char storage[sizeof(Pool)];

Pool& pool() {
  static Pool* const only = [] {
    pthread_atfork(nullptr, nullptr, [] { new (storage) Pool; });
    return new (storage) Pool;
  }();
  return *only;
}

// Construct the pool when the library is loaded. If a thread forked while another one was
// constructing it, the child would wait for that other thread for ever.
[[maybe_unused]] const Pool& made = pool();

int from_environment() {
  const char* text = getenv("TF_GRU_ADDON_THREADS");
  return text ? std::clamp(atoi(text), 0, kMostThreads) : 0;
}

int available_cpus() {
#ifdef __linux__
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) return CPU_COUNT(&cpus);
#endif
  return static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

int default_threads() {
  const int wanted = from_environment();
  return wanted > 0 ? wanted : std::clamp(available_cpus(), 1, kMostThreads);
}

void run_tasks(int64_t count, int threads, void (*task)(void*, int64_t), void* argument) {
  Job job{task, argument, count,
          static_cast<int>(std::min<int64_t>(count, std::min(threads, kMostThreads))) - 1};
  if (job.wanted > 0) {
    pool().run(job);
  } else {
    job.work();
  }
}

}  // namespace tf_gru_addon
