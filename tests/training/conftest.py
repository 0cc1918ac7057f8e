import numpy as np
import pytest

from tf_gru_addon.config import parse_config
from tf_gru_addon.datasets import load_npz
from tf_gru_addon.training import train

LAYERS = [
    {"Bidirectional": {"layer": {"GRU": {"units": 4, "dropout": 0.2}}}},
    {"Dense": {"units": 3, "activation": "softmax"}},
]


@pytest.fixture(scope="session")
def data_file(tmp_path_factory):
    """A file with sequences of three classes that are easy to tell apart."""
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 24), ("test", 10)):
        lengths = rng.integers(2, 6, count)
        labels = np.arange(count) % 3
        frames = (
            rng.normal(size=(lengths.sum(), 2)) + np.repeat(labels, lengths)[:, None]
        )
        arrays |= {
            f"{split}_frames": frames,
            f"{split}_lengths": lengths,
            f"{split}_labels": labels,
        }
    path = tmp_path_factory.mktemp("data") / "mine.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="session")
def make_config(data_file):
    """Returns a function that makes the config of a run of about a second."""

    def make(layers=None, formats=(), **training):
        return parse_config(
            {
                "data": {"train": str(data_file), "test": str(data_file)},
                "model": {"features": 2, "layers": layers or LAYERS},
                "optimizer": {"Adam": {"learning_rate": 0.02}},
                "training": {"epochs": 2, "batch_size": 7, **training},
                "export": {"formats": list(formats)},
            }
        )

    return make


@pytest.fixture(scope="session")
def run_config(make_config):
    return make_config(epochs=8, validation_fraction=0.25, formats=["saved_model"])


@pytest.fixture(scope="session")
def run(tmp_path_factory, run_config):
    """The folder and the metrics of a finished run."""
    path = tmp_path_factory.mktemp("runs") / "mine"
    return path, train(run_config, path)


@pytest.fixture(scope="session")
def test_data(data_file):
    return load_npz(data_file, split="test")
