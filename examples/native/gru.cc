// Runs a GRU without TensorFlow, and checks its numbers against a plain triple loop.
//
// `make example` builds and runs it: first build/example/libgru.a from all sources of
// `tf_gru_addon/native` except its folder `tf`, then
//
//     g++ -std=c++17 -Itf_gru_addon/native examples/native/gru.cc
//         build/example/libgru.a -pthread -o build/example/gru

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "include/gru.h"

namespace {

constexpr int B = 3, T = 20, F = 8, U = 24;

std::vector<float> random_floats(int count) {
  static std::mt19937 engine(0);
  std::normal_distribution<float> distribution(0, 0.3f);
  std::vector<float> result(count);
  for (float& value : result) value = distribution(engine);
  return result;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// Updates the state h [U] of one sequence from its input x [F]; reset_after, in float64.
void plain_step(const float* x, const std::vector<float>& kernel,
                const std::vector<float>& recurrent, const std::vector<float>& bias,
                std::vector<double>& h) {
  std::vector<double> input(bias.begin(), bias.begin() + 3 * U);
  std::vector<double> product(bias.begin() + 3 * U, bias.end());
  for (int column = 0; column < 3 * U; ++column) {
    for (int k = 0; k < F; ++k) input[column] += x[k] * kernel[k * 3 * U + column];
    for (int k = 0; k < U; ++k) product[column] += h[k] * recurrent[k * 3 * U + column];
  }
  for (int u = 0; u < U; ++u) {
    const double z = sigmoid(input[u] + product[u]);
    const double r = sigmoid(input[U + u] + product[U + u]);
    const double c = std::tanh(input[2 * U + u] + r * product[2 * U + u]);
    h[u] = z * h[u] + (1 - z) * c;
  }
}

}  // namespace

int main() {
  const std::vector<float> x = random_floats(B * T * F), h0 = random_floats(B * U);
  const std::vector<float> kernel = random_floats(F * 3 * U);
  const std::vector<float> recurrent = random_floats(U * 3 * U);
  const std::vector<float> bias = random_floats(2 * 3 * U);
  std::vector<float> outputs(B * T * U), state(B * U);

  GruOptions options{};
  options.batch = B;
  options.timesteps = T;
  options.features = F;
  options.units = U;
  options.activation = GRU_TANH;
  options.recurrent_activation = GRU_SIGMOID;
  options.reset_after = 1;
  GruInputs inputs{};
  inputs.inputs = x.data();
  inputs.initial_state = h0.data();
  inputs.kernel = kernel.data();
  inputs.recurrent_kernel = recurrent.data();
  inputs.bias = bias.data();
  GruOutputs results{};
  results.outputs = outputs.data();
  results.state = state.data();
  if (gru_forward(&options, &inputs, &results) != GRU_OK) {
    std::fprintf(stderr, "out of memory\n");
    return 1;
  }

  double worst = 0;
  for (int b = 0; b < B; ++b) {
    std::vector<double> h(h0.begin() + b * U, h0.begin() + (b + 1) * U);
    for (int t = 0; t < T; ++t) {
      const int at = b * T + t;
      plain_step(x.data() + at * F, kernel, recurrent, bias, h);
      for (int u = 0; u < U; ++u)
        worst = std::fmax(worst, std::fabs(outputs[at * U + u] - h[u]));
    }
    for (int u = 0; u < U; ++u)
      worst = std::fmax(worst, std::fabs(state[b * U + u] - h[u]));
  }
  std::printf("%s, %d thread(s): the largest error is %.1e\n", gru_isa(), gru_threads(),
              worst);
  if (!(worst < 1e-5)) {
    std::fprintf(stderr, "expected less than 1e-5\n");
    return 1;
  }
  return 0;
}
