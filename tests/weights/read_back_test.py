"""A file is written only if its framework loads it."""

import dataclasses
import os
import sys

import keras
import numpy as np
import pytest
from support.harness import assert_close
from support.random_weights import inputs_for, outputs_of, random_stack, random_weights

import tf_gru_addon
from tf_gru_addon.weights import (
    GRULayer,
    WeightsError,
    inspect_weights,
    read_weights,
    write_weights,
)
from tf_gru_addon.weights.formats import FORMATS
from tf_gru_addon.weights.write_files import write_and_read_back

BEFORE = random_weights(reset_after=False)
AFTER = random_weights()
PEER = pytest.mark.peer

#: Files that a framework loads and runs, and what reads each back.
RUN = [
    ("tf1", "model.ckpt", BEFORE, "TensorFlow 2"),
    ("keras3", "gru.weights.h5", random_stack(bidirectional=True), "Keras 3"),
    ("keras2", "gru.h5", BEFORE, "tf_keras 2"),
    ("keras2", "gru.h5", random_weights(bias=False, dtype="float16"), "tf_keras 2"),
    ("cudnn_gru", "gru.h5", AFTER, "tf_keras 2"),
    *(
        pytest.param(*case, marks=PEER)
        for case in [
            ("torch", "gru.pt", random_stack(units=(4, 4), bidirectional=True), "PyT"),
            ("torch", "gru.safetensors", AFTER, "PyTorch 2"),
            ("torch", "gru.npz", random_weights(dtype="float16"), "PyTorch 2"),
            ("onnx", "gru.onnx", random_stack(bidirectional=True), "ONNX Runtime 1"),
            ("onnx", "gru.onnx", GRULayer(None, BEFORE), "ONNX Runtime 1"),
            ("onnx", "gru.onnx", random_weights(dtype="float64"), "ONNX Runtime 1"),
            ("onnx", "gru.onnx", GRULayer(AFTER, None, "elu", "relu"), "ONNX Runtime"),
        ]
    ),
]


ONLY_LOADED = [
    ("npz", "gru.npz", AFTER, "this package"),
    ("tf1", "model.ckpt", AFTER, "TensorFlow 2"),
]
CASE = ("format", "name", "stack", "reader")


@pytest.mark.parametrize(CASE, [*RUN, *ONLY_LOADED])
def test_the_reader_is_reported(tmp_path, tf_keras, format, name, stack, reader):
    found = write_and_read_back(tmp_path / name, stack, format)
    assert found.startswith(reader)
    assert "alone" not in found


@pytest.fixture
def change(monkeypatch):
    """Changes a format of the registry: `change("npz", write=...)`."""

    def replace(name, **changes):
        new = dataclasses.replace(FORMATS[name], **changes)
        monkeypatch.setitem(FORMATS, name, new)

    return replace


@pytest.mark.parametrize(CASE, RUN)
def test_a_file_that_the_framework_reads_differently(
    tmp_path, tf_keras, change, format, name, stack, reader
):
    """As if this package and the framework used different orders of the weights."""
    write = FORMATS[format].write
    change(format, write=lambda path, stack: write(path, tuple(map(swapped, stack))))
    reading = format if FORMATS[format].read else "keras"
    read = FORMATS[reading].read

    def other(path, reset_after):
        file = read(path, reset_after)
        grus = {name: tuple(map(swapped, stack)) for name, stack in file.grus.items()}
        return dataclasses.replace(file, grus=grus)

    change(reading, read=other)
    message = f"{name}: .*{reader}.* loads what was written, but computes other"
    with pytest.raises(WeightsError, match=message):
        write_weights(tmp_path / name, stack, format)
    assert not os.listdir(tmp_path)


def swapped(layer):
    """Returns a layer with the columns of its kernels in the other order."""
    sides = [
        None
        if weights is None
        else type(weights)(
            weights.kernel[:, ::-1],
            weights.recurrent_kernel,
            weights.bias,
            weights.reset_after,
        )
        for weights in (layer.forward, layer.backward)
    ]
    return GRULayer(*sides, layer.activation, layer.recurrent_activation)


@pytest.mark.parametrize(
    ("format", "name", "order"),
    [
        ("npz", "gru.npz", (1, 0)),
        ("npz", "gru.npz", (0, 0)),
        ("npz", "gru.npz", (0,)),
        ("npz", "gru.npz", (0, 1, 1)),
        ("keras3", "gru.weights.h5", (0, 0)),
        ("keras3", "gru.weights.h5", (0, 1, 1)),
    ],
)
def test_a_file_with_other_layers_than_given(tmp_path, change, format, name, order):
    """This package notices without the framework."""
    write = FORMATS[format].write

    def other(path, stack):
        write(path, tuple(stack[index] for index in order))

    change(format, write=other, peer=None)
    stack = random_stack(4, (4, 4))
    with pytest.raises(WeightsError, match=f"{name}: what was written reads differen"):
        write_weights(tmp_path / name, stack, format)
    assert not os.listdir(tmp_path)


def test_a_file_that_a_framework_does_not_load(tmp_path, tf_keras, change):
    change("keras2", write=FORMATS["keras3"].write)
    with pytest.raises(WeightsError, match=r"gru.h5: tf_keras 2\S* does not load what"):
        write_weights(tmp_path / "gru.h5", AFTER, "keras2")
    assert not os.listdir(tmp_path)


def test_a_framework_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    reader = write_and_read_back(tmp_path / "gru.npz", AFTER, "torch")
    assert reader == "this package alone, as PyTorch is not installed"
    assert read_weights(tmp_path / "gru.npz")[0].forward == AFTER


@pytest.mark.parametrize("kind", ["keras", "tf_gru_addon"])
@pytest.mark.parametrize(
    "stack",
    [
        random_stack(),
        random_stack(bidirectional=True),
        random_stack(units=(4, 2, 5)),
        random_stack(units=(4, 2), bidirectional=True, bias=False),
        (*random_stack(units=(4,)), *random_stack(4, (3,), bidirectional=True)),
        random_stack(reset_after=False),
    ],
    ids=lambda stack: "-".join(layer.direction for layer in stack),
)
def test_keras_3_loads_a_written_file(tmp_path, stack, kind):
    path = tmp_path / "gru.weights.h5"
    write_weights(path, stack, "keras3")
    gru = keras.layers.GRU if kind == "keras" else tf_gru_addon.GRU

    def layer_for(layer):
        made = gru(
            layer.units,
            return_sequences=True,
            reset_after=layer.reset_after,
            use_bias=layer.use_bias,
        )
        return keras.layers.Bidirectional(made) if layer.backward else made

    layers = [layer_for(layer) for layer in stack]
    model = keras.Sequential([keras.Input((None, 3)), *layers])
    model.load_weights(path)
    x = inputs_for(stack)
    assert_close(model(x), outputs_of(stack, x))
    file = inspect_weights(path, reset_after=stack[0].reset_after)
    assert (file.format, len(file.grus)) == ("keras", len(stack))


def test_stacks_that_keras_3_cannot_hold(tmp_path):
    with pytest.raises(WeightsError, match="this one only runs backward"):
        write_weights(tmp_path / "a.weights.h5", GRULayer(None, AFTER), "keras3")
    for name, format in [("a.h5", "keras3"), ("a.weights.h5", "keras2")]:
        with pytest.raises(WeightsError, match=rf"{name}: .*\.weights\.h5, and one of"):
            write_weights(tmp_path / name, AFTER, format)
    assert not os.listdir(tmp_path)


def test_outputs_that_float32_cannot_hold(tmp_path):
    big = random_weights()
    big = type(big)(big.kernel * 1e30, big.recurrent_kernel * 1e8, big.bias, True)
    for format, name in (("npz", "a.npz"), ("keras3", "a.weights.h5")):
        write_weights(tmp_path / name, big, format)
    assert np.isfinite(read_weights(tmp_path / "a.npz")[0].forward.kernel).all()
