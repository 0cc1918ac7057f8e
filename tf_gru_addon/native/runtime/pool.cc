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

namespace tf_gru_addon {
namespace {

constexpr int kMaxThreads = 1024;

// How often a thread that waits looks before it sleeps: some 50 microseconds, in which
// the next timesteps' work most often comes.
constexpr int kLooks = 550;
// After some 5 microseconds of them it lets others have the CPU between its looks: the
// thread that it waits for may be one of them.
constexpr int kLooksAlone = 400;

void relax(int look) {
  if (look >= kLooksAlone) return std::this_thread::yield();
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

// Work that threads may join, on its caller's stack.
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
    // Nobody can join any more; wait for those who have.
    for (int look = 0; look < kLooks; ++look) {
      if (job.helping.load(std::memory_order_acquire) == 0) return;
      relax(look);
    }
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [&] { return job.helping.load(std::memory_order_acquire) == 0; });
  }

 private:
  bool start_thread() {
    try {
      std::thread([this] { serve(); }).detach();
    } catch (const std::system_error&) {
      return false;  // The calling thread does the work that others would have.
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
      for (int look = 0; look < kLooks; ++look) {
        if (waiting_.load(std::memory_order_relaxed) > 0) break;
        relax(look);
      }
      Job* job;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        if (jobs_.empty()) work_.wait(lock);
        // Too late for that job; but a call's next one comes within microseconds.
        if (jobs_.empty()) continue;
        job = jobs_.front();
        job->helping.fetch_add(1, std::memory_order_relaxed);
        if (--job->wanted == 0) remove(*job);
      }
      job->work();
      // Under the lock, so that the job's caller cannot miss it; the job is gone once the
      // count is down.
      std::lock_guard<std::mutex> lock(mutex_);
      if (job->helping.fetch_sub(1, std::memory_order_release) == 1) done_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable work_, done_;
  std::vector<Job*> jobs_;
  std::atomic<int> waiting_{0};  // the size of jobs_, to be looked at without the lock
  int started_ = 0;
};

// Never destroyed: its threads sleep in it until the process ends. In a forked child they
// do not exist, and a lock may have been held: it gets a new pool in the same place.
alignas(Pool) unsigned char storage[sizeof(Pool)];

Pool& pool() {
  static Pool* const only = [] {
    pthread_atfork(nullptr, nullptr, [] { new (storage) Pool; });
    return new (storage) Pool;
  }();
  return *only;
}

// Made when the library is loaded: a process that another thread forks in the midst of
// making it would wait for that thread for ever.
[[maybe_unused]] const Pool& made = pool();

int from_environment() {
  const char* text = getenv("TF_GRU_ADDON_THREADS");
  return text ? std::clamp(atoi(text), 0, kMaxThreads) : 0;
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
  return wanted > 0 ? wanted : std::clamp(available_cpus(), 1, kMaxThreads);
}

void run_tasks(int64_t count, int threads, void (*task)(void*, int64_t), void* argument) {
  Job job{task, argument, count,
          static_cast<int>(std::min<int64_t>(count, std::min(threads, kMaxThreads))) - 1};
  if (job.wanted > 0) {
    pool().run(job);
  } else {
    job.work();
  }
}

}  // namespace tf_gru_addon
