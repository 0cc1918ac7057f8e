// Weight matrices as panels: columns of a few vectors, side by side for each row.
#ifndef TF_GRU_ADDON_NATIVE_GEMM_PANELS_H_
#define TF_GRU_ADDON_NATIVE_GEMM_PANELS_H_

#include <stdint.h>

#include "cell/planes.h"

namespace tf_gru_addon {

constexpr int kPanelVectors = 3;

// Vector n of row k of panel p is at data[p * panel_stride + k * row_stride +
// n * vector_stride]. Packed panels hold kPanelVectors everywhere, zero beyond the matrix.
struct Panels {
  const float* data;
  int64_t vectors;  // in all panels
  int64_t full;     // the number of panels that may be read kPanelVectors wide
  int64_t panel_stride;
  int64_t row_stride;
  int64_t vector_stride;
};

static inline int64_t panel_count(int64_t vectors) {
  return (vectors + kPanelVectors - 1) / kPanelVectors;
}

// The vectors of a panel.
enum class PanelOrder {
  kGates,       // columns of z, r and h, of the same units
  kUnits,       // columns of successive units; z's panels first, then r's, then h's
  kTransposed,  // rows of the matrix, whose columns become the depth
};

struct Packing {
  const float* matrix;  // [rows, kGates, columns]
  PanelOrder order;
  int64_t rows;
  int64_t units;
  int64_t columns;  // of a gate: at least the units
  int64_t lanes;
  int gates[kGates];  // kTransposed: the order of the gates along the depth, each padded
                      // to whole vectors
};

// The number of panels, and the floats of each.
int64_t packed_panels(const Packing& packing);
int64_t packed_panel_size(const Packing& packing);

// The panels at `data`, to be filled by pack_panel. `gate` selects the panels of kUnits; with
// other orders it must be 0, or the result must not be used.
Panels packed(const Packing& packing, const float* data, int gate = 0);

// The panels of the matrix as it is in memory. `columns` must be a multiple of the lanes, and
// the order not kTransposed.
Panels unpacked(const Packing& packing, int gate = 0);

void pack_panel(const Packing& packing, int64_t panel, float* data);

}  // namespace tf_gru_addon

#endif  // TF_GRU_ADDON_NATIVE_GEMM_PANELS_H_
