// Tests the native kernels against a naive GRU in double precision. `make sanitize` runs it.
//
// The reference computes one timestep and one row after the other. It has no gradient
// formulas: the derivative of an analytic f along v is Im f(x + i e v) / e, exact to rounding
// for a tiny e.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <complex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "include/gru.h"

#if defined(__SANITIZE_THREAD__)
// The test forks on purpose while threads wait in the pool.
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }
#endif

namespace {

using Complex = std::complex<double>;
using Floats = std::vector<float>;

int failures = 0;

#define CHECK(condition, ...)                        \
  do {                                               \
    if (!(condition)) {                              \
      printf("%s:%d: %s: ", __FILE__, __LINE__, #condition); \
      printf(__VA_ARGS__);                           \
      printf("\n");                                  \
      if (++failures > 20) exit(1);                  \
    }                                                \
  } while (0)

// A call: options, arrays and results.
struct Case {
  GruOptions options{};
  Floats x, h0, kernel, recurrent, bias;
  std::vector<uint8_t> mask;
  Floats input_masks[3], recurrent_masks[3];
  Floats padded[3];  // the weights with padded_units
  Floats d_outputs, d_last, d_state;
  std::string name;

  Floats outputs, last, state, gates;
  Floats d_x, d_h0, d_kernel, d_recurrent, d_bias;

  GruInputs inputs() const {
    GruInputs in{x.data(), h0.data(), kernel.data(), recurrent.data(),
                 bias.empty() ? nullptr : bias.data(),
                 mask.empty() ? nullptr : mask.data(), {}, {}};
    if (options.padded_units) {
      in.kernel = padded[0].data();
      in.recurrent_kernel = padded[1].data();
      in.bias = bias.empty() ? nullptr : padded[2].data();
    }
    for (int g = 0; g < 3; ++g) {
      if (!input_masks[g].empty()) in.input_masks[g] = input_masks[g].data();
      if (!recurrent_masks[g].empty()) in.recurrent_masks[g] = recurrent_masks[g].data();
    }
    return in;
  }

  void forward(int threads, bool keep) {
    options.threads = threads;
    const int64_t B = options.batch, T = options.timesteps, U = options.units;
    outputs.assign(B * T * U, NAN);
    last.assign(B * U, NAN);
    state.assign(B * U, NAN);
    gates.assign(keep ? B * T * gru_gates_size(U) : 0, NAN);
    const GruInputs in = inputs();
    const GruOutputs out{outputs.data(), last.data(), state.data(),
                         keep ? gates.data() : nullptr};
    CHECK(gru_forward(&options, &in, &out) == GRU_OK, "%s", name.c_str());
  }

  void backward(int threads) {
    options.threads = threads;
    for (auto [to, from] : {std::pair(&d_x, &x), std::pair(&d_h0, &h0),
                            std::pair(&d_kernel, &kernel),
                            std::pair(&d_recurrent, &recurrent), std::pair(&d_bias, &bias)})
      to->assign(from->size(), NAN);
    const GruInputs in = inputs();
    const GruUpstream up{outputs.data(), gates.data(), d_outputs.data(), d_last.data(),
                         d_state.data()};
    const GruGradients out{d_x.data(), d_h0.data(), d_kernel.data(), d_recurrent.data(),
                           bias.empty() ? nullptr : d_bias.data()};
    CHECK(gru_backward(&options, &in, &up, &out) == GRU_OK, "%s", name.c_str());
  }

  std::vector<Floats> results() const {
    return {outputs, last, state, d_x, d_h0, d_kernel, d_recurrent, d_bias};
  }
};

template <class T>
T hard_sigmoid(double slope, T v) {
  const T y = slope * v + 0.5;
  return std::real(y) <= 0 ? T(0) : std::real(y) >= 1 ? T(1) : y;
}

template <class T>
T activate(GruActivation kind, T v) {
  switch (kind) {
    case GRU_SIGMOID: return 1.0 / (1.0 + std::exp(-v));
    case GRU_HARD_SIGMOID: return hard_sigmoid(0.2, v);
    case GRU_KERAS_HARD_SIGMOID: return hard_sigmoid(1 / 6.0, v);
    case GRU_TANH: return std::tanh(v);
    case GRU_RELU: return std::real(v) > 0 ? v : T(0);
    case GRU_LINEAR: return v;
    case GRU_ACTIVATION_COUNT: break;
  }
  abort();
}

template <class T>
struct Arrays {
  std::vector<T> x, h0, kernel, recurrent, bias;
};

template <class T>
struct Results {
  std::vector<T> outputs, last, state;
};

template <class T>
Results<T> reference(const Case& c, const Arrays<T>& a) {
  const GruOptions& o = c.options;
  const int64_t B = o.batch, N = o.timesteps, F = o.features, U = o.units;
  Results<T> result{std::vector<T>(B * N * U), std::vector<T>(B * U), a.h0};
  const auto scale = [](const Floats (&masks)[3], int g, int64_t at) -> double {
    if (masks[0].empty()) return 1;
    return masks[masks[1].empty() ? 0 : g][at];
  };
  for (int64_t b = 0; b < B; ++b) {
    T* h = result.state.data() + b * U;
    std::vector<T> previous(U), gate[3];
    for (int64_t n = 0; n < N; ++n) {
      const int64_t t = o.go_backwards ? N - 1 - n : n;
      T* y = result.outputs.data() + (b * N + n) * U;
      if (!c.mask.empty() && !c.mask[b * N + t]) {
        if (!o.zero_output_for_mask) std::copy(previous.begin(), previous.end(), y);
        continue;
      }
      for (int g = 0; g < 3; ++g) {
        gate[g].assign(U, T(0));
        for (int64_t u = 0; u < U; ++u) {
          const int64_t column = g * U + u;
          T input = a.bias.empty() ? T(0) : a.bias[column];
          for (int64_t k = 0; k < F; ++k)
            input += a.x[(b * N + t) * F + k] * scale(c.input_masks, g, b * F + k) *
                     a.kernel[k * 3 * U + column];
          T product = a.bias.empty() || !o.reset_after ? T(0) : a.bias[3 * U + column];
          for (int64_t k = 0; k < U; ++k) {
            T operand = h[k] * scale(c.recurrent_masks, g, b * U + k);
            if (g == 2 && !o.reset_after) operand *= gate[1][k];
            product += operand * a.recurrent[k * 3 * U + column];
          }
          if (g == 2 && o.reset_after) product *= gate[1][u];
          gate[g][u] = activate(g == 2 ? o.activation : o.recurrent_activation,
                                input + product);
        }
      }
      for (int64_t u = 0; u < U; ++u)
        y[u] = h[u] = previous[u] = gate[0][u] * h[u] + (1.0 - gate[0][u]) * gate[2][u];
    }
    if (N > 0)
      std::copy_n(result.outputs.data() + (b * N + N - 1) * U, U,
                  result.last.data() + b * U);
  }
  return result;
}

void check_close(const std::string& what, const Floats& actual,
                 const std::vector<double>& expected) {
  CHECK(actual.size() == expected.size(), "%s", what.c_str());
  double largest = 1, error = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, fabs(expected[i]));
    const double here = fabs(actual[i] - expected[i]);
    error = std::isfinite(here) ? std::max(error, here) : INFINITY;
  }
  CHECK(error <= 2e-5 * largest, "%s: %g of %g", what.c_str(), error, largest);
}

class Random {
 public:
  explicit Random(int seed) : engine_(seed) {}
  int below(int n) { return static_cast<int>(engine_() % n); }
  Floats normal(int64_t count, float scale) {
    std::normal_distribution<float> distribution(0, scale);
    Floats result(count);
    for (float& value : result) value = distribution(engine_);
    return result;
  }
  Floats dropout(int64_t count) {
    Floats result(count);
    for (float& value : result) value = below(2) ? 2 : 0;
    return result;
  }

 private:
  std::mt19937 engine_;
};

// Pads the columns of each gate with NaN, from `units` to `padded_units`.
Floats pad(const Floats& weights, int64_t units, int64_t padded_units) {
  if (units == 0) return {};
  Floats result(weights.size() / units * padded_units, NAN);
  for (size_t i = 0; i < weights.size(); ++i)
    result[i / units * padded_units + i % units] = weights[i];
  return result;
}

Case make_case(Random& random, int64_t B, int64_t T, int64_t F, int64_t U) {
  Case c;
  GruOptions& o = c.options;
  o.batch = B;
  o.timesteps = T;
  o.features = F;
  o.units = U;
  o.reset_after = random.below(2);
  o.go_backwards = random.below(2);
  o.zero_output_for_mask = random.below(2);
  const bool usual = random.below(2);
  o.activation = usual ? GRU_TANH : static_cast<GruActivation>(random.below(GRU_ACTIVATION_COUNT));
  // Only the sigmoids: with z outside [0, 1], the state may grow without limit.
  o.recurrent_activation =
      usual ? GRU_SIGMOID : static_cast<GruActivation>(random.below(GRU_TANH));
  c.x = random.normal(B * T * F, 1);
  c.h0 = random.normal(B * U, 1);
  c.kernel = random.normal(F * 3 * U, 0.7f / sqrtf(F + 1));
  c.recurrent = random.normal(U * 3 * U, 0.7f / sqrtf(U + 1));
  if (random.below(4)) c.bias = random.normal((o.reset_after ? 2 : 1) * 3 * U, 0.5);
  const int masks[] = {0, 1, 3};
  for (int g = masks[random.below(3)]; g-- > 0;) c.input_masks[g] = random.dropout(B * F);
  for (int g = masks[random.below(3)]; g-- > 0;)
    c.recurrent_masks[g] = random.dropout(B * U);
  if (random.below(2)) {
    c.mask.resize(B * T);
    for (int64_t b = 0; b < B; ++b) {
      const int kept = random.below(5);  // 0: all masked
      for (int64_t t = 0; t < T; ++t) c.mask[b * T + t] = random.below(4) < kept;
    }
    for (int64_t i = 0; i < B * T; ++i)
      if (!c.mask[i]) std::fill_n(c.x.data() + i * F, F, NAN);
  }
  if (random.below(3) == 0) {
    o.padded_units = random.below(2) ? (U + 15) / 16 * 16 : U + random.below(5);
    c.padded[0] = pad(c.kernel, U, o.padded_units);
    c.padded[1] = pad(c.recurrent, U, o.padded_units);
    c.padded[2] = pad(c.bias, U, o.padded_units);
  }
  c.d_outputs = random.normal(B * T * U, 1);
  c.d_last = random.normal(B * U, 1);
  c.d_state = random.normal(B * U, 1);
  char name[160];
  snprintf(name, sizeof name,
           "(%d, %d, %d, %d) after=%d back=%d zero=%d phi=%d sigma=%d bias=%d mask=%d "
           "inputs=%d%d states=%d%d padded=%d",
           int(B), int(T), int(F), int(U), o.reset_after, o.go_backwards,
           o.zero_output_for_mask, o.activation, o.recurrent_activation, !c.bias.empty(),
           !c.mask.empty(), !c.input_masks[0].empty(), !c.input_masks[1].empty(),
           !c.recurrent_masks[0].empty(), !c.recurrent_masks[1].empty(),
           int(o.padded_units));
  c.name = name;
  return c;
}

template <class T>
std::vector<T> widen(const Floats& from, const Floats* direction = nullptr) {
  std::vector<T> result(from.begin(), from.end());
  if constexpr (std::is_same_v<T, Complex>)
    for (size_t i = 0; direction && i < from.size(); ++i)
      result[i] += Complex(0, 1e-30 * (*direction)[i]);
  return result;
}

// The derivative of the weighted sum of the results along a direction in one of the arrays.
// The weights are the upstream gradients.
double derivative(const Case& c, int array, const Floats& direction) {
  const auto along = [&](int i) { return i == array ? &direction : nullptr; };
  const Arrays<Complex> a{
      widen<Complex>(c.x, along(0)), widen<Complex>(c.h0, along(1)),
      widen<Complex>(c.kernel, along(2)), widen<Complex>(c.recurrent, along(3)),
      widen<Complex>(c.bias, along(4))};
  const Results<Complex> r = reference(c, a);
  double sum = 0;
  const auto add = [&sum](const std::vector<Complex>& values, const Floats& d) {
    for (size_t i = 0; i < d.size(); ++i) sum += values[i].imag() / 1e-30 * d[i];
  };
  add(r.outputs, c.d_outputs);
  add(r.last, c.d_last);
  add(r.state, c.d_state);
  return sum;
}

void check_gradients(const Case& c, Random& random) {
  const Floats* arrays[] = {&c.x, &c.h0, &c.kernel, &c.recurrent, &c.bias};
  const Floats* gradients[] = {&c.d_x, &c.d_h0, &c.d_kernel, &c.d_recurrent, &c.d_bias};
  for (int i = 0; i < 5; ++i) {
    for (const float value : *gradients[i])
      CHECK(std::isfinite(value), "%s: gradient %d", c.name.c_str(), i);
    for (int turn = 0; turn < 2 && !arrays[i]->empty(); ++turn) {
      const Floats direction = random.normal(arrays[i]->size(), 1);
      double actual = 0, size = 1;
      for (size_t k = 0; k < direction.size(); ++k) {
        actual += double((*gradients[i])[k]) * direction[k];
        size += pow(double((*gradients[i])[k]), 2);
      }
      const double expected = derivative(c, i, direction);
      CHECK(fabs(actual - expected) <= 3e-5 * sqrt(size) * 3, "%s: gradient %d: %g, not %g",
            c.name.c_str(), i, actual, expected);
    }
  }
}

void check_case(Case& c, Random& random) {
  c.forward(1, false);
  const Floats outputs = c.outputs;
  c.forward(1, true);
  CHECK(c.outputs == outputs, "%s: keeping the gates changes the outputs", c.name.c_str());
  const Results<double> expected =
      reference(c, Arrays<double>{widen<double>(c.x), widen<double>(c.h0),
                                  widen<double>(c.kernel), widen<double>(c.recurrent),
                                  widen<double>(c.bias)});
  check_close(c.name + " outputs", c.outputs, expected.outputs);
  check_close(c.name + " last", c.last, expected.last);
  check_close(c.name + " state", c.state, expected.state);
  c.backward(1);
  check_gradients(c, random);
}

void test_random_cases() {
  for (int seed = 0; seed < 150; ++seed) {
    Random random(seed);
    const int64_t B = random.below(12), T = random.below(9), F = random.below(20);
    Case c = make_case(random, B, T, F, 1 + random.below(40));
    check_case(c, random);
  }
  const int64_t shapes[][4] = {{17, 13, 37, 61}, {1, 30, 64, 128}, {3, 1, 16, 96},
                               {1, 1, 64, 128},  {33, 3, 5, 16},   {40, 40, 3, 5},
                               {2, 3, 4, 0},     {0, 3, 4, 5},     {2, 0, 4, 5}};
  for (const auto& [B, T, F, U] : shapes) {
    for (int seed = 0; seed < 6; ++seed) {
      Random random(seed);
      Case c = make_case(random, B, T, F, U);
      check_case(c, random);
    }
  }
}

bool same_bits(const std::vector<Floats>& a, const std::vector<Floats>& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i].size() != b[i].size() ||
        (a[i].size() && memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(float))))
      return false;
  return true;
}

// Large enough for several threads.
std::vector<Case> large_cases() {
  std::vector<Case> cases;
  for (int seed = 0; seed < 6; ++seed) {
    Random random(seed);
    cases.push_back(make_case(random, 19 + seed, 23, 37, 61));
  }
  return cases;
}

void test_threads_change_nothing() {
  for (Case& c : large_cases()) {
    c.forward(1, true);
    c.backward(1);
    const auto expected = c.results();
    for (const int threads : {2, 3, 7, 64}) {
      c.forward(threads, true);
      c.backward(threads);
      CHECK(same_bits(c.results(), expected), "%s: %d threads", c.name.c_str(), threads);
    }
  }
}

void test_other_rows_change_nothing() {
  for (Case& c : large_cases()) {
    c.forward(2, false);
    const int64_t B = c.options.batch, T = c.options.timesteps, F = c.options.features,
                  U = c.options.units;
    for (const int64_t b : {int64_t{0}, B - 1}) {
      const auto row = [b](const Floats& all, int64_t size) {
        return all.empty() ? all
                           : Floats(all.begin() + b * size, all.begin() + (b + 1) * size);
      };
      Case one = c;
      one.options.batch = 1;
      one.x = row(c.x, T * F);
      one.h0 = row(c.h0, U);
      for (int g = 0; g < 3; ++g) {
        one.input_masks[g] = row(c.input_masks[g], F);
        one.recurrent_masks[g] = row(c.recurrent_masks[g], U);
      }
      if (!c.mask.empty()) one.mask.assign(&c.mask[b * T], &c.mask[b * T] + T);
      one.forward(1, false);
      CHECK(one.outputs == row(c.outputs, T * U), "%s: row %d", c.name.c_str(), int(b));
    }
  }
}

void test_concurrent_callers() {
  std::vector<Case> cases = large_cases();
  std::vector<std::vector<Floats>> expected;
  for (Case& c : cases) {
    c.forward(1, true);
    c.backward(1);
    expected.push_back(c.results());
  }
  std::vector<std::thread> callers;
  std::vector<int> wrong(cases.size());
  for (size_t i = 0; i < cases.size(); ++i)
    callers.emplace_back([&, i] {
      for (int turn = 0; turn < 10; ++turn) {
        cases[i].forward(4, true);
        cases[i].backward(4);
        wrong[i] += !same_bits(cases[i].results(), expected[i]);
      }
    });
  for (std::thread& caller : callers) caller.join();
  for (const int count : wrong) CHECK(count == 0, "%d results differ", count);
}

void test_fork() {
  Case c = large_cases()[0];
  c.forward(4, true);
  const Floats expected = c.outputs;
  for (int turn = 0; turn < 3; ++turn) {
    const pid_t child = fork();
    if (child == 0) {
      c.forward(4, true);
      c.backward(4);
      _exit(c.outputs == expected ? 0 : 1);
    }
    c.forward(4, true);
    CHECK(c.outputs == expected, "the parent, after a fork");
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child: %d", status);
  }
}

// With z = 0, the new state is the candidate. With a candidate of 0 and a state of 1, it is z.
void test_activations_are_accurate() {
  constexpr int kCount = 4096;
  Case c;
  c.options.batch = kCount;
  c.options.timesteps = c.options.features = c.options.units = 1;
  c.options.activation = GRU_TANH;
  c.options.recurrent_activation = GRU_SIGMOID;
  for (int i = 0; i < kCount; ++i)
    c.x.push_back((i % 2 ? 1 : -1) * exp2f(-24 + 31.0f * i / kCount));
  c.recurrent = {0, 0, 0};
  double worst = 0;
  c.h0.assign(kCount, 0);
  c.bias = {-1000, 0, 0};
  c.kernel = {0, 0, 1};
  c.forward(1, false);
  for (int i = 0; i < kCount; ++i)
    worst = std::max(worst, fabs(c.state[i] / tanh(double(c.x[i])) - 1));
  CHECK(worst < 3e-7, "tanh: %g", worst);
  worst = 0;
  c.h0.assign(kCount, 1);
  c.bias = {0, 0, 0};
  c.kernel = {1, 0, 0};
  c.forward(1, false);
  for (int i = 0; i < kCount; ++i) {
    const double expected = 1 / (1 + exp(-double(c.x[i])));
    if (expected > 1e-30) worst = std::max(worst, fabs(c.state[i] / expected - 1));
  }
  CHECK(worst < 4e-7, "sigmoid: %g", worst);
}

void test_dense() {
  for (int seed = 0; seed < 60; ++seed) {
    Random random(seed);
    const int64_t rows = random.below(4), F = random.below(30), U = 1 + random.below(150);
    const int64_t padded = (U + 15) / 16 * 16;
    const bool softmax = random.below(2);
    const Floats x = random.normal(rows * F, 1), all = random.normal((F + 1) * padded, 1);
    Floats kernel = all;
    for (int64_t i = 0; i < (F + 1) * padded; ++i)
      if (i % padded >= U) kernel[i] = 0;
    Floats y(rows * padded);
    const GruDense dense{rows, F, U, padded, GRU_LINEAR, softmax, x.data(),
                         kernel.data(), kernel.data() + F * padded, y.data()};
    gru_dense(&dense);
    for (int64_t i = 0; i < rows; ++i) {
      std::vector<double> expected(U);
      double sum = 0;
      for (int64_t j = 0; j < U; ++j) {
        expected[j] = kernel[F * padded + j];
        for (int64_t k = 0; k < F; ++k)
          expected[j] += double(x[i * F + k]) * kernel[k * padded + j];
        sum += exp(expected[j]);
      }
      for (int64_t j = 0; j < U; ++j) {
        const double wanted = softmax ? exp(expected[j]) / sum : expected[j];
        CHECK(fabs(y[i * padded + j] - wanted) < 2e-5, "dense, seed %d", seed);
      }
    }
  }
}

int run_all(const char* isa) {
  setenv("TF_GRU_ADDON_ISA", isa, 1);
  if (strcmp(gru_isa(), isa) != 0) {
    printf("%s: not on this machine\n", isa);
    return 0;
  }
  test_activations_are_accurate();
  test_random_cases();
  test_dense();
  test_threads_change_nothing();
  test_other_rows_change_nothing();
  test_concurrent_callers();
  test_fork();
  printf("%s: %s\n", isa, failures ? "failed" : "passed");
  return failures ? 1 : 0;
}

}  // namespace

// Tests each instruction set in its own process: a process uses only one.
int main() {
  int result = 0;
  for (const char* isa : {"avx512", "avx2", "generic"}) {
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      const int failed = run_all(isa);
      fflush(stdout);
      exit(failed);
    }
    int status = -1;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
      printf("%s: exit status %d\n", isa, status);
      result = 1;
    }
  }
  return result;
}
