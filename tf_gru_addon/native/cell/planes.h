// Names for the gates and for the planes of the arrays that hold a value per gate.
#ifndef TF_GRU_ADDON_NATIVE_CELL_PLANES_H_
#define TF_GRU_ADDON_NATIVE_CELL_PLANES_H_

namespace tf_gru_addon {

// The gates, in the order of the columns of every weight: z | r | h.
struct Gate {
  enum Index : int { kUpdate, kReset, kCandidate };
};
constexpr int kGates = 3;

// The values of a timestep that the forward pass keeps for the backward pass.
struct Kept {
  enum Plane : int {
    kUpdate,     // z
    kReset,      // r
    kCandidate,  // c
    kProduct,    // reset_after: h Uh + bh_recurrent; else r * h
  };
};
constexpr int kKeptPlanes = 4;

// The gradients of a timestep. The planes that act on the inputs (the first three) and
// those that act on the state (the last three) are neighbours, so that one product covers
// each group.
struct Gradient {
  enum Plane : int {
    kCandidate,  // of the argument of phi
    kUpdate,     // of the argument of sigma, for z
    kReset,      // likewise, for r
    kProduct,    // reset_after: of h Uh + bh_recurrent; else unused
  };
};
constexpr int kGradientPlanes = 4;

// The columns of the weights that a plane of gradients belongs to.
static inline int gate_of(int plane) {
  return plane == Gradient::kUpdate ? Gate::kUpdate
         : plane == Gradient::kReset ? Gate::kReset
                                     : Gate::kCandidate;
}

// Whether x W depends on the argument whose gradient the plane holds.
static inline bool acts_on_inputs(int plane) { return plane != Gradient::kProduct; }

// Whether h U does.
static inline bool acts_on_state(int plane, bool reset_after) {
  return plane != (reset_after ? Gradient::kCandidate : Gradient::kProduct);
}

// The plane whose product with a gate's recurrent kernel is part of dh.
static inline int state_plane(int gate, bool reset_after) {
  return gate == Gate::kUpdate  ? Gradient::kUpdate
         : gate == Gate::kReset ? Gradient::kReset
         : reset_after          ? Gradient::kProduct
                                : Gradient::kCandidate;
}

}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_CELL_PLANES_H_
