"""Damaged `.npz` files, of this package and of PyTorch, are refused."""

import os

import numpy as np
import pytest
from support.pickles import Evil
from support.random_weights import random_weights

from tf_gru_addon.weights import GRULayer, WeightsError, read_weights, torch_arrays
from tf_gru_addon.weights.formats.npz import to_npz_arrays

AFTER = random_weights()
LAYER = GRULayer(AFTER)


def npz(path, **arrays):
    with path.open("wb") as stream:
        np.savez(stream, **arrays)


def canonical(**changes):
    arrays = {**to_npz_arrays((LAYER,)), **changes}
    return {name: array for name, array in arrays.items() if array is not None}


NAN = np.where(np.arange(36).reshape(3, 12) == 5, np.nan, 1).astype("float32")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"weight_hh_l0": np.array([Evil()], object)},
            "holds Python objects, which are never",
        ),
        ({"a": np.ones(3)}, "no format recogn.* without an array weight_hh_l0"),
        (canonical(**{"0.forward.kernel": NAN}), r"kernel\[0, 5\] is nan"),
        (canonical(**{"0.forward.kernel": None}), "0.forward lacks kernel"),
        (canonical(**{"0.forward.kernel": np.ones((3, 12), int)}), "received int64"),
        (
            canonical(**{"0.forward.kernel": np.ones((3, 9), "f4")}),
            r"received \(3, 9\)",
        ),
        (canonical(**{"0.forward.extra": NAN}), "0.forward has the surplus extra"),
        (canonical(**{"0.extra": NAN}), "surplus array 0.extra"),
        (canonical(**{"2.activation": NAN}), "surplus array 2.activation"),
        (canonical(**{"0.activation": None}), "0.activation must be a single word"),
        (canonical(**{"0.activation": np.ones(2)}), "0.activation must be a single"),
        (canonical(**{"0.forward.reset_after": NAN}), "reset_after must be a single b"),
        ({"format": np.array("tf_gru_addon")}, "at least one layer; received none"),
        (torch_arrays(AFTER) | {"bias_hh_l0": NAN}, r"bias_hh_l0\[0, 5\] is nan"),
    ],
)
def test_damaged_npz_files_are_refused(tmp_path, monkeypatch, arrays, message):
    monkeypatch.chdir(tmp_path)
    npz(tmp_path / "gru.npz", **arrays)
    with pytest.raises(WeightsError, match=rf"^\S*gru.npz: .*{message}"):
        read_weights("gru.npz")
    assert os.listdir() == ["gru.npz"], "the pickle was executed"
