// The TensorFlow ops: they check their arguments and call the C ABI.

#include "tf/op.h"

#include <algorithm>
#include <array>
#include <memory>

#include "cell/planes.h"
#include "include/gru.h"

namespace tf_gru_addon {
namespace {

// Returns the activation of a name, or GRU_ACTIVATION_COUNT.
GruActivation find_activation(const std::string& name) {
  int activation = 0;
  while (activation < GRU_ACTIVATION_COUNT && name != gru_activation_name(activation))
    ++activation;
  return static_cast<GruActivation>(activation);
}

// The names of all activations, for an error message.
std::string activation_names() {
  std::string result;
  for (int i = 0; i < GRU_ACTIVATION_COUNT; ++i)
    result += std::string(i ? ", \"" : "\"") + gru_activation_name(i) + "\"";
  return result;
}

// "a, b or c"
std::string choices(std::initializer_list<int64_t> values) {
  std::string result;
  for (const int64_t& value : values) {
    if (&value != values.begin()) result += &value + 1 == values.end() ? " or " : ", ";
    result += std::to_string(value);
  }
  return result;
}

struct DeleteTensor {
  void operator()(TF_Tensor* tensor) const { TF_DeleteTensor(tensor); }
};
using Tensor = std::unique_ptr<TF_Tensor, DeleteTensor>;

Shape shape_of(const TF_Tensor* tensor) {
  Shape shape;
  for (int i = 0; i < TF_NumDims(tensor); ++i) shape.push_back(TF_Dim(tensor, i));
  return shape;
}

template <class T = float>
T* data(const Tensor& tensor) {
  return tensor ? static_cast<T*>(TF_TensorData(tensor.get())) : nullptr;
}

// The attributes of a node.
struct Attributes {
  GruOptions options{};
  int biases = 0, masks = 0, input_masks = 0, recurrent_masks = 0;

  // Sets the status if an attribute is invalid.
  void read(TF_OpKernelConstruction* node, Status& status) {
    options.reset_after = boolean(node, "reset_after", status);
    options.go_backwards = boolean(node, "go_backwards", status);
    options.zero_output_for_mask = boolean(node, "zero_output_for_mask", status);
    options.activation = activation(node, "activation", status);
    options.recurrent_activation = activation(node, "recurrent_activation", status);
    options.threads =
        static_cast<int>(std::clamp<int64_t>(integer(node, "threads", status), 0, 1024));
    biases = count(node, "biases", {0, 1}, status);
    masks = count(node, "masks", {0, 1}, status);
    input_masks = count(node, "input_mask_count", {0, 1, 3}, status);
    recurrent_masks = count(node, "recurrent_mask_count", {0, 1, 3}, status);
  }

 private:
  static int boolean(TF_OpKernelConstruction* node, const char* name, Status& status) {
    unsigned char value = 0;
    if (status.ok()) TF_OpKernelConstruction_GetAttrBool(node, name, &value, status);
    return value != 0;
  }

  static int64_t integer(TF_OpKernelConstruction* node, const char* name,
                         Status& status) {
    int64_t value = 0;
    if (status.ok()) TF_OpKernelConstruction_GetAttrInt64(node, name, &value, status);
    return value;
  }

  static int count(TF_OpKernelConstruction* node, const char* name,
                   std::initializer_list<int64_t> allowed, Status& status) {
    const int64_t value = integer(node, name, status);
    if (status.ok() && std::find(allowed.begin(), allowed.end(), value) == allowed.end())
      status.fail(TF_INVALID_ARGUMENT, std::string(name) + " cannot be " +
                                           std::to_string(value) + "; expected " +
                                           choices(allowed) + ".");
    return static_cast<int>(value);
  }

  static GruActivation activation(TF_OpKernelConstruction* node, const char* name,
                                  Status& status) {
    char text[32] = "";
    if (status.ok())
      TF_OpKernelConstruction_GetAttrString(node, name, text, sizeof text - 1, status);
    const GruActivation result = find_activation(text);
    if (status.ok() && result == GRU_ACTIVATION_COUNT)
      status.fail(TF_INVALID_ARGUMENT, std::string(name) + " cannot be \"" + text +
                                           "\"; expected one of " + activation_names() +
                                           ".");
    return result;
  }
};

// A run of an op: its inputs, outputs and status. The destructor reports a failure.
class Run {
 public:
  Run(const Attributes& attributes, TF_OpKernelContext* context)
      : options(attributes.options), context_(context) {
    x_ = take();
    h0_ = take();
    kernel_ = take();
    recurrent_kernel_ = take();
    if (attributes.biases) bias_ = take();
    if (attributes.masks) mask_ = take();
    for (int g = 0; g < attributes.input_masks; ++g) input_masks_[g] = take();
    for (int g = 0; g < attributes.recurrent_masks; ++g) recurrent_masks_[g] = take();
    if (status.ok()) check();
    if (!status.ok()) return;
    const Shape x = shape_of(x_.get());
    options.batch = x[0];
    options.timesteps = x[1];
    options.features = x[2];
    options.units = TF_Dim(h0_.get(), 1);
    inputs = {data(x_), data(h0_), data(kernel_), data(recurrent_kernel_),
              data(bias_), data<uint8_t>(mask_), {}, {}};
    for (int g = 0; g < kGates; ++g) {
      inputs.input_masks[g] = data(input_masks_[g]);
      inputs.recurrent_masks[g] = data(recurrent_masks_[g]);
    }
  }

  ~Run() {
    if (!status.ok()) TF_OpKernelContext_Failure(context_, status);
  }

  Tensor take() {
    TF_Tensor* tensor = nullptr;
    if (status.ok()) TF_GetInput(context_, next_input_++, &tensor, status);
    return Tensor(tensor);
  }

  Tensor output(const Shape& shape) {
    if (!status.ok()) return nullptr;
    int64_t bytes = sizeof(float);
    for (const int64_t dimension : shape) {
      if (__builtin_mul_overflow(bytes, dimension, &bytes)) {
        status.fail(TF_INVALID_ARGUMENT, "The inputs require an output of the shape " +
                                             to_string(shape) + ", which is too large.");
        return nullptr;
      }
    }
    return Tensor(TF_AllocateOutput(context_, next_output_++, TF_FLOAT, shape.data(),
                                    static_cast<int>(shape.size()), bytes, status));
  }

  void finish(GruStatus result) {
    if (result == GRU_OUT_OF_MEMORY)
      status.fail(TF_RESOURCE_EXHAUSTED, "Out of memory for the workspace of the GRU.");
  }

  Shape input_shape() const { return shape_of(x_.get()); }
  Shape kernel_shape() const { return shape_of(kernel_.get()); }
  Shape recurrent_kernel_shape() const { return shape_of(recurrent_kernel_.get()); }
  Shape state_shape() const { return {options.batch, options.units}; }
  Shape sequence_shape(int64_t size) const {
    return {options.batch, options.timesteps, size};
  }
  Shape bias_shape() const {
    if (options.reset_after) return {2, kGates * options.units};
    return {kGates * options.units};
  }

  Status status;
  GruOptions options;
  GruInputs inputs{};

 private:
  void check() {
    const Shape x = input_shape(), h0 = shape_of(h0_.get());
    std::string error =
        check_shapes(x, h0, kernel_shape(), recurrent_kernel_shape());
    if (error.empty()) {
      const int64_t F = x[2], U = h0[1];
      const std::string given = "; inputs have the shape " + to_string(x) +
                                ", initial_state has " + to_string(h0) + ".";
      if (bias_ && options.reset_after)
        expect("bias", shape_of(bias_.get()), "(2, 3 * units)", {2, kGates * U}, given, &error);
      if (bias_ && !options.reset_after)
        expect("bias", shape_of(bias_.get()), "(3 * units,)", {kGates * U}, given, &error);
      if (mask_)
        expect("mask", shape_of(mask_.get()), "(batch, timesteps)", {x[0], x[1]}, given,
               &error);
      for (const Tensor& mask : input_masks_)
        if (mask)
          expect("input_masks", shape_of(mask.get()), "(batch, features)", {x[0], F},
                 given, &error);
      for (const Tensor& mask : recurrent_masks_)
        if (mask)
          expect("recurrent_masks", shape_of(mask.get()), "(batch, units)", {x[0], U},
                 given, &error);
    }
    if (!error.empty()) status.fail(TF_INVALID_ARGUMENT, error);
  }

  TF_OpKernelContext* context_;
  int next_input_ = 0, next_output_ = 0;
  Tensor x_, h0_, kernel_, recurrent_kernel_, bias_, mask_;
  std::array<Tensor, kGates> input_masks_, recurrent_masks_;
};

void* create(TF_OpKernelConstruction* node) {
  Status status;
  auto attributes = std::make_unique<Attributes>();
  attributes->read(node, status);
  if (status.ok()) return attributes.release();
  TF_OpKernelConstruction_Failure(node, status);
  return nullptr;
}

void destroy(void* attributes) { delete static_cast<Attributes*>(attributes); }

template <int op>
void forward(void* attributes, TF_OpKernelContext* context) {
  constexpr ForwardOp kOp = kForwardOps[op];
  Run run(*static_cast<Attributes*>(attributes), context);
  if (!run.status.ok()) return;
  const Shape all = run.sequence_shape(run.options.units);
  const Tensor output = run.output(kOp.sequences ? all : run.state_shape());
  const Tensor state = run.output(run.state_shape());
  Tensor gates, states;
  if (kOp.training) {
    gates = run.output(run.sequence_shape(gru_gates_size(run.options.units)));
    if (!kOp.sequences) states = run.output(all);
  }
  if (!run.status.ok()) return;
  const GruOutputs outputs = {data(kOp.sequences ? output : states),
                              kOp.sequences ? nullptr : data(output), data(state),
                              data(gates)};
  run.finish(gru_forward(&run.options, &run.inputs, &outputs));
}

void gradient(void* attributes, TF_OpKernelContext* context) {
  Run run(*static_cast<Attributes*>(attributes), context);
  const Tensor states = run.take(), gates = run.take();
  const Tensor d_output = run.take(), d_state = run.take();
  if (!run.status.ok()) return;
  const Shape all = run.sequence_shape(run.options.units);
  const bool sequences = TF_NumDims(d_output.get()) == 3;
  std::string error;
  expect("states", shape_of(states.get()), "(batch, timesteps, units)", all, ".", &error);
  expect("gates", shape_of(gates.get()), "that the training op returns",
         run.sequence_shape(gru_gates_size(run.options.units)), ".", &error);
  expect("d_output", shape_of(d_output.get()), "of the output",
         sequences ? all : run.state_shape(), ".", &error);
  expect("d_state", shape_of(d_state.get()), "(batch, units)", run.state_shape(), ".",
         &error);
  if (!error.empty()) return run.status.fail(TF_INVALID_ARGUMENT, error);

  const Tensor d_inputs = run.output(run.input_shape());
  const Tensor d_initial_state = run.output(run.state_shape());
  const Tensor d_kernel = run.output(run.kernel_shape());
  const Tensor d_recurrent_kernel = run.output(run.recurrent_kernel_shape());
  const Tensor d_bias = run.inputs.bias ? run.output(run.bias_shape()) : nullptr;
  if (!run.status.ok()) return;
  const GruUpstream upstream = {data(states), data(gates),
                                sequences ? data(d_output) : nullptr,
                                sequences ? nullptr : data(d_output), data(d_state)};
  const GruGradients gradients = {data(d_inputs), data(d_initial_state), data(d_kernel),
                                  data(d_recurrent_kernel), data(d_bias)};
  run.finish(gru_backward(&run.options, &run.inputs, &upstream, &gradients));
}

void add_inputs(TF_OpDefinitionBuilder* builder) {
  for (const char* input :
       {"inputs: float", "initial_state: float", "kernel: float",
        "recurrent_kernel: float", "bias: biases * float", "mask: masks * bool",
        "input_masks: input_mask_count * float",
        "recurrent_masks: recurrent_mask_count * float"})
    TF_OpDefinitionBuilderAddInput(builder, input);
  for (const char* attribute :
       {"biases: int >= 0", "masks: int >= 0", "input_mask_count: int >= 0",
        "recurrent_mask_count: int >= 0", "reset_after: bool", "activation: string",
        "recurrent_activation: string", "go_backwards: bool = false",
        "zero_output_for_mask: bool = false", "threads: int = 0"})
    TF_OpDefinitionBuilderAddAttr(builder, attribute);
}

void add_kernel(const char* op, void (*compute)(void*, TF_OpKernelContext*),
                Status& status) {
  if (!status.ok()) return;
  TF_RegisterKernelBuilder(op, TF_NewKernelBuilder(op, "CPU", create, compute, destroy),
                           status);
}

template <int op>
void add_forward(Status& status) {
  constexpr ForwardOp kOp = kForwardOps[op];
  if (!status.ok()) return;
  TF_OpDefinitionBuilder* builder = TF_NewOpDefinitionBuilder(kOp.name);
  add_inputs(builder);
  TF_OpDefinitionBuilderAddOutput(builder, "output: float");
  TF_OpDefinitionBuilderAddOutput(builder, "state: float");
  if (kOp.training) {
    TF_OpDefinitionBuilderAddOutput(builder, "gates: float");
    if (!kOp.sequences) TF_OpDefinitionBuilderAddOutput(builder, "states: float");
  }
  TF_OpDefinitionBuilderSetShapeInferenceFunction(
      builder, [](TF_ShapeInferenceContext* context, TF_Status* shape_status) {
        forward_shape(context, shape_status, kForwardOps[op]);
      });
  TF_RegisterOpDefinition(builder, status);
  add_kernel(kOp.name, forward<op>, status);
}

void add_gradient(Status& status) {
  if (!status.ok()) return;
  TF_OpDefinitionBuilder* builder = TF_NewOpDefinitionBuilder(kGradientOp);
  add_inputs(builder);
  for (const char* input :
       {"states: float", "gates: float", "d_output: float", "d_state: float"})
    TF_OpDefinitionBuilderAddInput(builder, input);
  for (const char* output : {"d_inputs: float", "d_initial_state: float",
                             "d_kernel: float", "d_recurrent_kernel: float",
                             "d_bias: biases * float"})
    TF_OpDefinitionBuilderAddOutput(builder, output);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(builder, gradient_shape);
  TF_RegisterOpDefinition(builder, status);
  add_kernel(kGradientOp, gradient, status);
}

// The error of the registration, which runs when the library is loaded; empty on success.
std::string& registration_error() {
  static std::string error;
  return error;
}

[[maybe_unused]] const bool registered = [] {
  Status status;
  add_forward<0>(status);
  add_forward<1>(status);
  add_forward<2>(status);
  add_forward<3>(status);
  add_gradient(status);
  if (!status.ok()) registration_error() = TF_Message(status);
  return status.ok();
}();

}  // namespace
}  // namespace tf_gru_addon

// Returns the error of the registration, or "".
extern "C" GRU_EXPORT const char* gru_registration_error(void) {
  return tf_gru_addon::registration_error().c_str();
}
