"""The parameters of flax's two GRU cells.

`linen.GRUCell` has one kernel per gate; `nnx.GRUCell` concatenates the gates r, z, n:

    linen                                  nnx
    ir, iz, in: kernel (features, units)   dense_i: kernel (features, 3 * units)
                bias (units,)                       bias (3 * units,)
    hr, hz, hn: kernel (units, units)      dense_h: kernel (units, 3 * units)
    hn:         bias (units,)

The reset gate comes after the recurrent product. Both have a single bias for z and for
r, so the two of this package are added up. nnx has no recurrent bias for the candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_gru_addon.weights.arrays import (
    arrays_named,
    expect_shape,
    units_of,
)
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.layouts import GateOrder, LayoutArray, Layouts
from tf_gru_addon.weights.limits import require_reset, require_weights

_LINEN = tuple(
    f"{side}{gate}/{kind}"
    for side, gate, kinds in [
        ("i", "z", ("kernel", "bias")),
        ("i", "r", ("kernel", "bias")),
        ("i", "n", ("kernel", "bias")),
        ("h", "z", ("kernel",)),
        ("h", "r", ("kernel",)),
        ("h", "n", ("kernel", "bias")),
    ]
    for kind in kinds
)
_NNX_ORDER = GateOrder("rzh")
LAYOUTS: Layouts = {
    "flax linen.GRUCell (reset after)": (
        LayoutArray("ir", "kernel, bias", ("Wr", "br")),
        LayoutArray("iz", "kernel, bias", ("Wz", "bz")),
        LayoutArray("in", "kernel, bias", ("Wh", "bih")),
        LayoutArray("hr", "kernel", ("Ur",)),
        LayoutArray("hz", "kernel", ("Uz",)),
        LayoutArray("hn", "kernel, bias", ("Uh", "boh")),
    ),
    "flax nnx.GRUCell (reset after)": (
        LayoutArray("dense_i", "kernel, bias", ("Wr Wz Wh", "br bz bih")),
        LayoutArray("dense_h", "kernel", ("Ur Uz Uh",)),
    ),
}
_NNX = ("dense_i/kernel", "dense_i/bias", "dense_h/kernel")


def from_flax_linen(params: Mapping[str, Any]) -> GRUWeights:
    """Returns the weights of a `flax.linen.GRUCell`.

    Args:
        params: The cell's parameters, `{"ir": {"kernel": ..., "bias": ...}, ...}`, or
            dicts around nothing else: `{"params": {"GRUCell_0": {...}}}`.

    Raises:
        WeightsError: An array is missing or surplus, or has another shape.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import (
        ...     GRUWeights, from_flax_linen, to_flax_linen
        ... )
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), None, True)
        >>> from_flax_linen({"params": to_flax_linen(weights)}).describe()
        '3 features, 2 units, reset after, two biases a gate, float64, 42 parameters'
    """
    arrays = arrays_named(
        _flat(params, "params", "parameters"), _LINEN, "flax.linen.GRUCell"
    )
    named = dict(zip(_LINEN, arrays, strict=True))
    units = units_of(named["hn/bias"], "hn/bias", 1)
    expect_shape(named["iz/kernel"], "iz/kernel", (None, units), "(features, units)")
    features = named["iz/kernel"].shape[0]
    for name, array in named.items():
        if name.endswith("bias"):
            expect_shape(array, name, (units,), "(units,)")
        elif name.startswith("i"):
            expect_shape(array, name, (features, units), "(features, units)")
        else:
            expect_shape(array, name, (units, units), "(units, units)")
    zeros = np.zeros_like(named["hn/bias"])
    gates = "zrn"
    bias = [named[f"i{gate}/bias"] for gate in gates]
    return GRUWeights(
        np.concatenate([named[f"i{gate}/kernel"] for gate in gates], axis=1),
        np.concatenate([named[f"h{gate}/kernel"] for gate in gates], axis=1),
        np.stack(
            [np.concatenate(bias), np.concatenate([zeros, zeros, named["hn/bias"]])]
        ),
        reset_after=True,
    )


def to_flax_linen(weights: GRUWeights) -> dict[str, dict[str, np.ndarray]]:
    """Returns the parameters of a `flax.linen.GRUCell`: `apply({"params": ...}, ...)`.

    Args:
        weights: The weights. The two biases of z, and of r, are added up; a missing
            bias becomes zeros.

    Raises:
        WeightsError: The weights have `reset_after=False`.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights, to_flax_linen
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), None, True)
        >>> {name: sorted(part) for name, part in to_flax_linen(weights).items()}
        {'iz': ['bias', 'kernel'], 'ir': ['bias', 'kernel'], 'in': ['bias', 'kernel'],
         'hz': ['kernel'], 'hr': ['kernel'], 'hn': ['bias', 'kernel']}
    """
    require_weights(weights)
    require_reset(weights, "flax.linen.GRUCell", after=True)
    weights = weights.with_bias().fold_biases()
    kernels, recurrent, biases = (
        dict(zip("zrn", np.split(array, 3, -1), strict=True))
        for array in (weights.kernel, weights.recurrent_kernel, weights.bias_or_zeros)
    )
    params = {
        f"i{gate}": {"kernel": kernels[gate].copy(), "bias": biases[gate][0].copy()}
        for gate in "zrn"
    }
    params |= {f"h{gate}": {"kernel": recurrent[gate].copy()} for gate in "zrn"}
    params["hn"]["bias"] = biases["n"][1].copy()
    return params


def from_flax_nnx(state: Mapping[str, Any]) -> GRUWeights:
    """Returns the weights of a `flax.nnx.GRUCell`.

    Args:
        state: What `nnx.state(cell)` or `nnx.to_pure_dict` of it gives:
            `{"dense_i": {"kernel": ..., "bias": ...}, "dense_h": {"kernel": ...}}`.

    Raises:
        WeightsError: An array is missing or surplus, or has another shape.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights, from_flax_nnx, to_flax_nnx
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), None, True)
        >>> from_flax_nnx(to_flax_nnx(weights)).units
        2
    """
    kernel, bias, recurrent = arrays_named(
        _flat(state, "state", "state"), _NNX, "flax.nnx.GRUCell"
    )
    units = units_of(recurrent, "dense_h/kernel", 3)
    columns = 3 * units
    expect_shape(recurrent, "dense_h/kernel", (units, columns), "(units, 3 * units)")
    expect_shape(kernel, "dense_i/kernel", (None, columns), "(features, 3 * units)")
    expect_shape(bias, "dense_i/bias", (columns,), "(3 * units,)")
    bias = np.stack([_NNX_ORDER.to_canonical(bias), np.zeros_like(bias)])
    return GRUWeights(
        _NNX_ORDER.to_canonical(kernel),
        _NNX_ORDER.to_canonical(recurrent),
        bias,
        reset_after=True,
    )


def to_flax_nnx(weights: GRUWeights) -> dict[str, dict[str, np.ndarray]]:
    """Returns the parameters of a `flax.nnx.GRUCell`, as a pure dict.

    Args:
        weights: The weights. The two biases of z, and of r, are added up; a missing
            bias becomes zeros.

    Raises:
        WeightsError: The weights have `reset_after=False`, or a recurrent bias of the
            candidate that is not 0.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights, to_flax_nnx
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), None, True)
        >>> to_flax_nnx(weights)["dense_h"]["kernel"].shape
        (2, 6)
    """
    require_weights(weights)
    require_reset(weights, "flax.nnx.GRUCell", after=True)
    weights = weights.fold_biases()
    bias = weights.bias_or_zeros
    if bias[1].any():  # after folding, only the candidate's can differ from 0
        raise WeightsError(
            "flax.nnx.GRUCell has no recurrent bias for the candidate, but these "
            "weights have one that is not 0: it cannot compute the same. "
            "flax.linen.GRUCell can."
        )
    return {
        "dense_i": {
            "kernel": _NNX_ORDER.from_canonical(weights.kernel),
            "bias": _NNX_ORDER.from_canonical(bias[0]),
        },
        "dense_h": {"kernel": _NNX_ORDER.from_canonical(weights.recurrent_kernel)},
    }


def _flat(params: Mapping[str, Any], name: str, what: str) -> dict[str, Any]:
    """Returns a cell's arrays by "ir/kernel", ...; unwraps dicts of a single entry."""
    inner: Any = params
    for _ in range(100):
        if not isinstance(inner, Mapping):
            raise WeightsError(
                f"{name} must be the {what} of a GRUCell, a dict of dicts; received "
                f"a {type(inner).__name__}."
            )
        keys = list(inner)
        if len(keys) != 1 or keys[0] == "kernel":
            break
        inner = inner[keys[0]]
    flat: dict[str, Any] = {}
    for name, part in inner.items():
        if isinstance(part, Mapping):
            flat |= {f"{name}/{kind}": _value(part[kind]) for kind in part}
        else:
            flat[str(name)] = _value(part)
    return flat


def _value(leaf: Any) -> Any:
    """Returns the value of an nnx variable; anything else unchanged."""
    if hasattr(leaf, "get_value"):
        return leaf.get_value()
    return getattr(leaf, "value", leaf)  # flax before 0.12
