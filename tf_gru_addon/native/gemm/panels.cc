#include "gemm/panels.h"

#include <string.h>

#include <algorithm>

namespace tf_gru_addon {
namespace {

int64_t vectors_for(int64_t floats, int64_t lanes) { return (floats + lanes - 1) / lanes; }

int64_t depth(const Packing& p) {
  return p.order == PanelOrder::kTransposed ? kGates * vectors_for(p.units, p.lanes) * p.lanes
                                            : p.rows;
}

// Vectors of one gate's columns, or of the rows of the transposed matrix.
int64_t outputs(const Packing& p) {
  return vectors_for(p.order == PanelOrder::kTransposed ? p.rows : p.units, p.lanes);
}

int64_t panels_of_a_gate(const Packing& p) {
  return p.order == PanelOrder::kGates ? outputs(p) : panel_count(outputs(p));
}

// Copies `lanes` columns of all rows, zero beyond the last unit.
void copy_columns(const Packing& p, int gate, int64_t unit, float* to) {
  const int64_t width = std::clamp<int64_t>(p.units - unit, 0, p.lanes);
  const float* from = p.matrix + gate * p.columns + unit;
  for (int64_t k = 0; k < p.rows; ++k) {
    float* row = to + k * kPanelVectors * p.lanes;
    if (width > 0) memcpy(row, from + k * kGates * p.columns, sizeof(float) * width);
    std::fill(row + width, row + p.lanes, 0.0f);
  }
}

// Copies `lanes` rows of the matrix as columns.
void copy_rows(const Packing& p, int64_t first, float* to) {
  const int64_t padded = depth(p) / kGates, stride = kPanelVectors * p.lanes;
  for (int64_t lane = 0; lane < p.lanes; ++lane) {
    const bool inside = first + lane < p.rows;
    const float* row = p.matrix + (inside ? first + lane : 0) * kGates * p.columns;
    for (int g = 0; g < kGates; ++g) {
      const float* from = row + p.gates[g] * p.columns;
      float* column = to + g * padded * stride + lane;
      for (int64_t k = 0; k < padded; ++k)
        column[k * stride] = inside && k < p.units ? from[k] : 0.0f;
    }
  }
}

}  // namespace

int64_t packed_panels(const Packing& p) {
  return p.order == PanelOrder::kUnits ? kGates * panels_of_a_gate(p) : panels_of_a_gate(p);
}

int64_t packed_panel_size(const Packing& p) {
  return depth(p) * kPanelVectors * p.lanes;
}

Panels packed(const Packing& p, const float* data, int gate) {
  const int64_t count = panels_of_a_gate(p), size = packed_panel_size(p);
  const int64_t vectors =
      p.order == PanelOrder::kGates ? kPanelVectors * count : outputs(p);
  return {data + gate * count * size, vectors, count, size, kPanelVectors * p.lanes,
          p.lanes};
}

Panels unpacked(const Packing& p, int gate) {
  const int64_t vectors = outputs(p);
  if (p.order == PanelOrder::kGates)
    return {p.matrix, kPanelVectors * vectors, vectors, p.lanes, kGates * p.columns,
            p.columns};
  return {p.matrix + gate * p.columns, vectors, vectors / kPanelVectors,
          kPanelVectors * p.lanes, kGates * p.columns, p.lanes};
}

void pack_panel(const Packing& p, int64_t panel, float* data) {
  float* to = data + panel * packed_panel_size(p);
  const int64_t count = panels_of_a_gate(p);
  for (int n = 0; n < kPanelVectors; ++n, to += p.lanes) {
    const int64_t vector = panel % count * kPanelVectors + n;
    switch (p.order) {
      case PanelOrder::kGates: copy_columns(p, n, panel * p.lanes, to); break;
      case PanelOrder::kUnits:
        copy_columns(p, static_cast<int>(panel / count), vector * p.lanes, to);
        break;
      case PanelOrder::kTransposed: copy_rows(p, vector * p.lanes, to); break;
    }
  }
}

}  // namespace tf_gru_addon
