"""Damaged files of every format, and their readers."""

import contextlib
import gc
import resource
import shutil
import signal
import warnings
import zipfile

import keras
import numpy as np
from support.legacy_files import FIXTURES
from support.random_weights import random_stack, random_weights

from tf_gru_addon import load_legacy_model
from tf_gru_addon.config import ConfigError, load_config
from tf_gru_addon.datasets import DataError, load_csv, load_npz
from tf_gru_addon.errors import ExportError
from tf_gru_addon.export.keras_files import load_keras_file
from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.migrate.legacy import LegacyModelError
from tf_gru_addon.weights import GRULayer, WeightsError, read_weights, write_weights


@contextlib.contextmanager
def bounded(seconds=20, gibibytes=2.0):
    """Fails a block that takes more time or more additional memory than this.

    The block does not collect the garbage of earlier tests, which takes seconds in a
    large process.
    """

    def stop(*_):
        raise TimeoutError(f"still running after {seconds} seconds")

    limits = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    gc.disable()
    handler = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    resource.setrlimit(resource.RLIMIT_AS, (now + int(gibibytes * 2**30), limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        gc.enable()


def damaged(content, other, rng, count=20):
    """Yields the damage and the bytes: cut short, flipped, zeroed, spliced.

    Args:
        content: A file's bytes.
        other: Those of another file.
        rng: A NumPy generator.
        count: How many of each but the first, which is at every 5 %.
    """
    size = len(content)
    for percent in range(0, 100, 5):
        yield f"cut at {percent} %", content[: size * percent // 100]
    for index in range(count):
        wrong = bytearray(content)
        for place in rng.integers(0, 8 * size, 1 + index % 8):
            wrong[place // 8] ^= 1 << (place % 8)
        yield f"{1 + index % 8} bits flipped, {index}", bytes(wrong)
    for index in range(count):
        wrong = bytearray(content)
        start, length = rng.integers(size), 1 + rng.integers(min(size, 64))
        wrong[start : start + length] = bytes(len(wrong[start : start + length]))
        yield f"zeros at {start}, {index}", bytes(wrong)
    for index in range(count):
        at, to = rng.integers(size), rng.integers(len(other))
        to = at if index % 2 else to
        yield f"spliced at {at}, {index}", content[:at] + other[to:]


def _model():
    gru = keras.layers.Bidirectional(GRU(4, return_sequences=True))
    return keras.Sequential([keras.Input((None, 3)), gru, keras.layers.Dense(2)])


def _save(name):
    def make(folder):
        path = folder / name
        model = _model()
        model.save_weights(path) if ".weights" in name else model.save(path)

    return make


def _write(name, form, **options):
    stack = random_stack(bidirectional=form == "torch") if not options else None
    stack = stack or (GRULayer(random_weights(**options)),)
    return lambda folder: write_weights(folder / name, stack, form)


def _deflated(make):
    """Rewrites a zip file with compression."""

    def again(folder):
        make(folder)
        (path,) = folder.iterdir()
        with zipfile.ZipFile(path) as old:
            members = {name: old.read(name) for name in old.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
            for name, content in members.items():
                new.writestr(name, content)

    return again


def _torch_legacy(folder):
    import torch

    torch.manual_seed(0)
    state_dict = torch.nn.GRU(3, 4).state_dict()
    torch.save(state_dict, folder / "gru.pt", _use_new_zipfile_serialization=False)


def _gzipped_h5(folder):
    import h5py

    write_weights(folder / "a.h5", random_weights(), "keras2")
    with h5py.File(folder / "a.h5") as old, h5py.File(folder / "gru.h5", "w") as new:
        for name in ("kernel:0", "recurrent_kernel:0", "bias:0"):
            new.create_dataset(
                f"gru/{name}", data=old[f"gru/gru/{name}"], compression="gzip"
            )
    (folder / "a.h5").unlink()


def _legacy_h5(folder):
    shutil.copy(FIXTURES / "keras2_gru.h5", folder / "model.h5")


def _legacy_keras(folder):
    import tf_keras

    layers = [
        tf_keras.layers.GRU(4, input_shape=(None, 3)),
        tf_keras.layers.Dense(2),
    ]
    tf_keras.Sequential(layers).save(folder / "model.keras")


def _data_npz(folder):
    arrays = {"frames": np.ones((9, 3), "f4"), "lengths": [4, 5], "labels": [0, 1]}
    np.savez(folder / "data.npz", **arrays)


def _data_npz_padded(folder):
    arrays = {"x": np.ones((2, 5, 3)), "y": [0, 1], "lengths": [4, 5]}
    np.savez_compressed(folder / "data.npz", **arrays)


def _data_csv(folder):
    lines = [f"{i // 5},{i // 5},{i}.5,-1e-3,7" for i in range(20)]
    text = "\n".join(["sequence,label,a,b,c", *lines])
    (folder / "data.csv").write_text(text)


def _config(folder):
    (folder / "config.yaml").write_text(
        "data:\n  dataset: japanese_vowels\nmodel:\n  features: 12\n  layers:\n"
        "    - GRU: {units: 8, dropout: 0.1}\n    - Dense: {units: 9}\n"
        "optimizer:\n  Adam: {learning_rate: 1e-3}\ntraining:\n  epochs: 2\n"
    )


def _read(path):
    with contextlib.suppress(WeightsError):
        read_weights(path)
    return read_weights(path, recurrent_activation="sigmoid", reset_after=True)


#: By format: a writer, the name of the file to read, its reader, and its error.
FORMATS = {
    "npz": (_write("gru.npz", "npz"), "gru.npz", _read, WeightsError),
    "npz deflated": (
        _deflated(_write("gru.npz", "npz")),
        "gru.npz",
        _read,
        WeightsError,
    ),
    "tf1": (
        _write("model.ckpt", "tf1", reset_after=False),
        "model.ckpt",
        read_weights,
        WeightsError,
    ),
    "tf2": (_write("ckpt", "tf2", seed=0), "ckpt", _read, WeightsError),
    "mxnet": (_write("gru.params", "mxnet", seed=0), "gru.params", _read, WeightsError),
    "paddle": (
        _write("gru.pdparams", "paddle", seed=0),
        "gru.pdparams",
        _read,
        WeightsError,
    ),
    "keras2 h5": (_write("gru.h5", "keras2", seed=0), "gru.h5", _read, WeightsError),
    "gzip h5": (_gzipped_h5, "gru.h5", _read, WeightsError),
    "keras3 weights": (
        _save("model.weights.h5"),
        "model.weights.h5",
        _read,
        WeightsError,
    ),
    "keras3": (_save("model.keras"), "model.keras", _read, WeightsError),
    "keras3 whole": (
        _save("model.keras"),
        "model.keras",
        load_keras_file,
        ExportError,
    ),
    "keras3 whole deflated": (
        _deflated(_save("model.keras")),
        "model.keras",
        load_keras_file,
        ExportError,
    ),
    "legacy h5": (_legacy_h5, "model.h5", load_legacy_model, LegacyModelError),
    "legacy keras": (
        _legacy_keras,
        "model.keras",
        load_legacy_model,
        LegacyModelError,
    ),
    "legacy keras deflated": (
        _deflated(_legacy_keras),
        "model.keras",
        load_legacy_model,
        LegacyModelError,
    ),
    "data npz": (_data_npz, "data.npz", load_npz, DataError),
    "data npz padded": (_data_npz_padded, "data.npz", load_npz, DataError),
    "data csv": (_data_csv, "data.csv", load_csv, DataError),
    "config": (_config, "config.yaml", load_config, ConfigError),
}
#: The formats that need a framework of the [peers] extra.
PEER_FORMATS = {
    "pt": (_write("gru.pt", "torch"), "gru.pt", _read, WeightsError),
    "pt deflated": (
        _deflated(_write("gru.pt", "torch")),
        "gru.pt",
        _read,
        WeightsError,
    ),
    "pt legacy": (_torch_legacy, "gru.pt", _read, WeightsError),
    "safetensors": (
        _write("gru.safetensors", "torch"),
        "gru.safetensors",
        _read,
        WeightsError,
    ),
    "onnx": (_write("gru.onnx", "onnx", seed=0), "gru.onnx", _read, WeightsError),
}


def outcome(read, path, error):
    """Returns "read", "refused", or what went wrong."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Keras says about damaged configs
            read(path)
    except error as problem:
        named = str(path) in str(problem)
        return "refused" if named else f"unnamed: {problem}"
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}"
    return "read"


def campaign(folder, form, formats, seed, count):
    """Yields the damage to a file of a format, and the outcome of reading it."""
    make, name, read, error = formats[form]
    whole = folder / "whole"
    whole.mkdir()
    make(whole)
    rng = np.random.default_rng(seed)
    files = sorted(whole.iterdir())
    others = [file.read_bytes() for file in files]
    assert outcome(read, whole / name, error) == "read", outcome(
        read, whole / name, error
    )
    for file, content in zip(files, others, strict=True):
        other = others[1] if file is files[0] and len(files) > 1 else others[0][::-1]
        for done, wrong in damaged(content, other, rng, count):
            file.write_bytes(wrong)
            yield f"{file.name}: {done}", outcome(read, whole / name, error)
        file.write_bytes(content)
