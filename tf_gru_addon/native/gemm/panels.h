// Weights in panels: for each row of the matrix, a few vectors side by side.
#ifndef TF_GRU_ADDON_NATIVE_GEMM_PANELS_H_
#define TF_GRU_ADDON_NATIVE_GEMM_PANELS_H_

#include <stdint.h>

namespace tf_gru_addon {

constexpr int kPanelVectors = 3;

// Vector n of row k of panel p is at data[p * panel_stride + k * row_stride +
// n * vector_stride]. Packed panels have room for kPanelVectors everywhere, zeros where
// the matrix has ended.
struct Panels {
  const float* data;
  int64_t vectors;  // in all panels
  int64_t full;     // so many panels may be read in full, kPanelVectors wide
  int64_t panel_stride;
  int64_t row_stride;
  int64_t vector_stride;
};

static inline int64_t panel_count(int64_t vectors) {
  return (vectors + kPanelVectors - 1) / kPanelVectors;
}

// What a panel's vectors are.
enum class PanelOrder {
  kGates,       // columns of z, r and h, of the same units
  kUnits,       // columns of successive units; z's panels first, then r's, then h's
  kTransposed,  // rows of the matrix; the columns in the order below are the depth
};

struct Packing {
  const float* matrix;  // [rows, 3, columns]
  PanelOrder order;
  int64_t rows;
  int64_t units;
  int64_t columns;  // of a gate: at least the units
  int64_t lanes;
  int gates[3];  // kTransposed: the order of the gates along the depth, each of them
                 // padded to whole vectors
};

// How many panels there are, and how many floats each takes.
int64_t packed_panels(const Packing& packing);
int64_t packed_panel_size(const Packing& packing);

// The panels, packed at `data` (by pack_panel, each of them); those of one gate for
// kUnits, else `gate` must be 0 or the result is not used.
Panels packed(const Packing& packing, const float* data, int gate = 0);

// The panels of the matrix as it lies in memory; columns a multiple of lanes, not
// kTransposed.
Panels unpacked(const Packing& packing, int gate = 0);

void pack_panel(const Packing& packing, int64_t panel, float* data);

}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_GEMM_PANELS_H_
