// The shape functions of the ops.

#include "cell/planes.h"
#include "include/gru.h"
#include "tf/op.h"

namespace tf_gru_addon {

std::string to_string(const Shape& shape) {
  std::string result = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i) result += ", ";
    result += shape[i] == kUnknown ? "?" : std::to_string(shape[i]);
  }
  return result + (shape.size() == 1 ? ",)" : ")");
}

void expect(const char* name, const Shape& actual, const char* what,
            const Shape& expected, const std::string& context, std::string* error) {
  if (!error->empty()) return;
  bool fits = actual.size() == expected.size();
  for (size_t i = 0; fits && i < actual.size(); ++i)
    fits = actual[i] == expected[i] || actual[i] == kUnknown || expected[i] == kUnknown;
  if (fits) return;
  *error = std::string(name) + " must have the shape " + what + ", here " +
           to_string(expected) + "; received " + to_string(actual) + context;
}

std::string check_shapes(const Shape& inputs, const Shape& initial_state,
                         const Shape& kernel, const Shape& recurrent_kernel) {
  std::string error;
  expect("inputs", inputs, "(batch, timesteps, features)",
         {kUnknown, kUnknown, kUnknown}, ".", &error);
  if (!error.empty()) return error;
  const std::string given_inputs = "; inputs have the shape " + to_string(inputs) + ".";
  expect("initial_state", initial_state, "(batch, units)", {inputs[0], kUnknown},
         given_inputs, &error);
  if (!error.empty()) return error;
  const int64_t units = initial_state[1];
  const int64_t columns = units == kUnknown ? kUnknown : kGates * units;
  const std::string given_state =
      "; initial_state has the shape " + to_string(initial_state) + ".";
  expect("kernel", kernel, "(features, 3 * units)", {inputs[2], columns},
         "; initial_state has the shape " + to_string(initial_state) + given_inputs,
         &error);
  expect("recurrent_kernel", recurrent_kernel, "(units, 3 * units)", {units, columns},
         given_state, &error);
  return error;
}

namespace {

// A shape handle that lives as long as its scope.
class Handle {
 public:
  explicit Handle(TF_ShapeHandle* handle = TF_NewShapeHandle()) : handle_(handle) {}
  ~Handle() { TF_DeleteShapeHandle(handle_); }
  Handle(const Handle&) = delete;
  operator TF_ShapeHandle*() const { return handle_; }

 private:
  TF_ShapeHandle* handle_;
};

// The positions of the inputs.
enum { kInputs, kInitialState, kKernel, kRecurrentKernel };

// Returns the shape of an input; the dimensions of an unknown shape are kUnknown.
Shape get_input(TF_ShapeInferenceContext* context, int index, int64_t rank,
                TF_ShapeHandle* shape, TF_Status* status) {
  Handle raw;
  TF_ShapeInferenceContextGetInput(context, index, raw, status);
  if (TF_GetCode(status) != TF_OK) return {};
  if (TF_ShapeInferenceContextRankKnown(context, raw)) {
    TF_ShapeInferenceContextGetInput(context, index, shape, status);
    rank = TF_ShapeInferenceContextRank(context, raw);
  } else {
    TF_ShapeInferenceContextWithRank(context, raw, rank, shape, status);
  }
  Shape result;
  TF_DimensionHandle* dimension = TF_NewDimensionHandle();
  for (int64_t i = 0; i < rank; ++i) {
    TF_ShapeInferenceContextDim(context, shape, i, dimension);
    result.push_back(TF_DimensionHandleValueKnown(dimension)
                         ? TF_DimensionHandleValue(dimension)
                         : kUnknown);
  }
  TF_DeleteDimensionHandle(dimension);
  return result;
}

// The shapes of the inputs that every op has.
struct Inputs {
  Handle inputs, initial_state, kernel, recurrent_kernel;
  int64_t units = kUnknown;
  bool ok = false;

  Inputs(TF_ShapeInferenceContext* context, TF_Status* status) {
    const Shape x = get_input(context, kInputs, 3, inputs, status);
    const Shape h = get_input(context, kInitialState, 2, initial_state, status);
    const Shape w = get_input(context, kKernel, 2, kernel, status);
    const Shape u = get_input(context, kRecurrentKernel, 2, recurrent_kernel, status);
    if (TF_GetCode(status) != TF_OK) return;
    const std::string error = check_shapes(x, h, w, u);
    ok = error.empty();
    if (!ok) {
      TF_SetStatus(status, TF_INVALID_ARGUMENT, error.c_str());
      return;
    }
    units = h[1];
  }
};

// Sets an output to `first`[:count] + `second`.
void set_output(TF_ShapeInferenceContext* context, int index, TF_ShapeHandle* first,
                int64_t count, TF_ShapeHandle* second, TF_Status* status) {
  Handle start, result;
  TF_ShapeInferenceContextSubshape(context, first, 0, count, start, status);
  if (TF_GetCode(status) != TF_OK) return;
  TF_ShapeInferenceContextConcatenateShapes(context, start, second, result, status);
  if (TF_GetCode(status) != TF_OK) return;
  TF_ShapeInferenceContextSetOutput(context, index, result, status);
}

}  // namespace

void forward_shape(TF_ShapeInferenceContext* context, TF_Status* status,
                   const ForwardOp& op) {
  const Inputs in(context, status);
  if (!in.ok) return;
  Handle units;
  TF_ShapeInferenceContextSubshape(context, in.initial_state, 1, 2, units, status);
  if (TF_GetCode(status) != TF_OK) return;
  set_output(context, 0, in.inputs, op.sequences ? 2 : 1, units, status);
  set_output(context, 1, in.inputs, 1, units, status);
  if (!op.training) return;
  if (in.units == kUnknown) {
    set_output(context, 2, in.inputs, 2, units, status);
  } else {
    const Handle gates(
        TF_ShapeInferenceContextVectorFromSize(context, gru_gates_size(in.units)));
    set_output(context, 2, in.inputs, 2, gates, status);
  }
  if (!op.sequences) set_output(context, 3, in.inputs, 2, units, status);
}

// Each gradient has the shape of its input.
void gradient_shape(TF_ShapeInferenceContext* context, TF_Status* status) {
  const Inputs in(context, status);
  if (!in.ok) return;
  // A shape function cannot read attributes, so it does not know whether there is a bias.
  TF_ShapeInferenceContextSetUnknownShape(context, status);
  if (TF_GetCode(status) != TF_OK) return;
  for (int i = kInputs; i <= kRecurrentKernel; ++i) {
    Handle shape;
    TF_ShapeInferenceContextGetInput(context, i, shape, status);
    if (TF_GetCode(status) != TF_OK) return;
    TF_ShapeInferenceContextSetOutput(context, i, shape, status);
  }
}

}  // namespace tf_gru_addon
