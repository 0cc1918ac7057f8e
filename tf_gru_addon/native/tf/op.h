// What the ops and their shape functions agree on.
#ifndef TF_GRU_ADDON_NATIVE_TF_OP_H_
#define TF_GRU_ADDON_NATIVE_TF_OP_H_

#include <string>
#include <vector>

#include "tf/c_api.h"

namespace tf_gru_addon {

// The forward ops differ in their outputs alone, whose shapes no attribute can tell a
// shape function of the C API.
struct ForwardOp {
  const char* name;
  bool sequences;  // the first output: of all timesteps, or of the last
  bool training;   // whether there are `gates`, and without `sequences` also `states`
};

constexpr ForwardOp kForwardOps[] = {
    {"TfGruAddon>Gru", true, false},
    {"TfGruAddon>GruTraining", true, true},
    {"TfGruAddon>GruLast", false, false},
    {"TfGruAddon>GruLastTraining", false, true},
};

constexpr char kGradientOp[] = "TfGruAddon>GruGradient";

// A TF_Status for the length of a scope.
class Status {
 public:
  Status() : status_(TF_NewStatus()) {}
  ~Status() { TF_DeleteStatus(status_); }
  Status(const Status&) = delete;
  operator TF_Status*() { return status_; }
  bool ok() const { return TF_GetCode(status_) == TF_OK; }
  void fail(TF_Code code, const std::string& message) {
    TF_SetStatus(status_, code, message.c_str());
  }

 private:
  TF_Status* status_;
};

constexpr int64_t kUnknown = -1;

// Dimensions; in a shape function each may be kUnknown.
using Shape = std::vector<int64_t>;

std::string to_string(const Shape& shape);

// Adds to the error, unless there is one, that the argument does not have the shape.
// what: the expected shape in words.
void expect(const char* name, const Shape& actual, const char* what,
            const Shape& expected, const std::string& context, std::string* error);

// What is wrong with the shapes of the inputs that every op has, or "".
std::string check_shapes(const Shape& inputs, const Shape& initial_state,
                         const Shape& kernel, const Shape& recurrent_kernel);

void forward_shape(TF_ShapeInferenceContext* context, TF_Status* status,
                   const ForwardOp& op);
void gradient_shape(TF_ShapeInferenceContext* context, TF_Status* status);

}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_TF_OP_H_
