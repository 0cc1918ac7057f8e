// The declarations that the ops and their shape functions share.
#ifndef TF_GRU_ADDON_NATIVE_TF_OP_H_
#define TF_GRU_ADDON_NATIVE_TF_OP_H_

#include <string>
#include <vector>

#include "tf/c_api.h"

namespace tf_gru_addon {

// The forward ops differ only in their outputs. They are separate ops, with a shape function
// each, because the C API gives shape functions no access to attributes.
struct ForwardOp {
  const char* name;
  bool sequences;  // whether the first output holds all timesteps, or the last one
  bool training;   // whether `gates` is an output; without `sequences` also `states`
};

constexpr ForwardOp kForwardOps[] = {
    {"TfGruAddon>Gru", true, false},
    {"TfGruAddon>GruTraining", true, true},
    {"TfGruAddon>GruLast", false, false},
    {"TfGruAddon>GruLastTraining", false, true},
};

constexpr char kGradientOp[] = "TfGruAddon>GruGradient";

// A TF_Status that lives as long as its scope.
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

// Dimensions; in a shape function, each may be kUnknown.
using Shape = std::vector<int64_t>;

std::string to_string(const Shape& shape);

// Sets the error if an argument does not have the expected shape, unless an error is already
// set. what: the expected shape in words. context: added at the end.
void expect(const char* name, const Shape& actual, const char* what,
            const Shape& expected, const std::string& context, std::string* error);

// Returns what is wrong with the shapes of the inputs that every op has, or "".
std::string check_shapes(const Shape& inputs, const Shape& initial_state,
                         const Shape& kernel, const Shape& recurrent_kernel);

void forward_shape(TF_ShapeInferenceContext* context, TF_Status* status,
                   const ForwardOp& op);
void gradient_shape(TF_ShapeInferenceContext* context, TF_Status* status);

}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_TF_OP_H_
