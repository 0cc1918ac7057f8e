"""Every registered format: round trips, refusals and damaged files.

These tests include a new format without a change. Its own test in `formats/` compares
it with files and outputs of its framework.
"""

import dataclasses
import sys

import numpy as np
import pytest
from support.random_weights import random_stack, random_weights

from tf_gru_addon.weights import (
    GRULayer,
    WeightsError,
    WeightsFile,
    inspect_weights,
    read_weights,
    write_weights,
)
from tf_gru_addon.weights.format import Candidate
from tf_gru_addon.weights.formats import FORMATS, written

BEFORE = random_weights(reset_after=False)
AFTER = random_weights()
#: Stacks of every kind. A format must hold at least one of them.
STACKS = {
    "after": (GRULayer(AFTER),),
    "before": (GRULayer(BEFORE),),
    "folded": (GRULayer(AFTER.fold_biases()),),
    "no bias": random_stack(bias=False),
    "float64": random_stack(dtype="float64"),
    "both ways": random_stack(bidirectional=True),
    "backward": (GRULayer(None, AFTER),),
    "two layers": random_stack(units=(4, 4)),
    "two sizes": random_stack(units=(4, 2)),
    "relu": (GRULayer(BEFORE, activation="relu"),),
    "hard gates": (GRULayer(BEFORE, recurrent_activation="hard_sigmoid"),),
    "relu gates": (GRULayer(BEFORE, recurrent_activation="relu"),),
}


def params(formats):
    return [
        pytest.param(form, id=name, marks=[pytest.mark.peer] if form.packages else [])
        for name, form in formats.items()
    ]


EACH = pytest.mark.parametrize("form", params(FORMATS))
EACH_WRITTEN = pytest.mark.parametrize("form", params(written()))


def name_of(form, suffix=None):
    return "gru" + (suffix or next(iter(form.suffixes), ".h5"))


def skip_reading_back(form, monkeypatch):
    """Skips reading back in the framework, which other tests do."""
    monkeypatch.setitem(FORMATS, form.name, dataclasses.replace(form, peer=None))


def write_first(form, folder):
    """Writes the first stack that the format holds; returns the path and the stack."""
    for stack in STACKS.values():
        try:
            write_weights(folder / name_of(form), stack, form.name)
        except WeightsError:
            continue
        return folder / name_of(form), stack
    raise AssertionError(f"{form.name} holds none of the stacks")


def test_the_registry():
    assert {"npz", "torch", "onnx", "tf1", "keras", "keras2", "keras3"} <= {*FORMATS}
    suffixes = [end for form in written().values() for end in form.suffixes]
    assert len(suffixes) == len(set(suffixes))
    for name, form in FORMATS.items():
        assert form.name == name
        assert form.read or form.write
        assert (form.read is None) == (form.why_not is None)
        assert form.exclusive_suffix in (None, *form.suffixes)


@EACH_WRITTEN
def test_both_ways(tmp_path, monkeypatch, form):
    """A format holds a stack completely, or refuses it and leaves no file."""
    skip_reading_back(form, monkeypatch)
    holds = 0
    for index, (kind, stack) in enumerate(STACKS.items()):
        folder = tmp_path / str(index)
        folder.mkdir()
        path = folder / name_of(form)
        try:
            write_weights(path, stack, form.name)
        except WeightsError as error:
            refused = str(error)
        else:
            refused = None
        if refused is not None:
            assert form.cannot_hold, f"{kind}: {refused}"
            assert "reads differently" not in refused
            assert not list(folder.iterdir())
            continue
        holds += 1
        file = inspect_weights(path, reset_after=stack[0].reset_after)
        assert form.read is None or file.format == form.name
        directions = sum(len(layer.directions) for layer in stack)
        assert len(file.describe().splitlines()) == directions
        read = [layer for layers in file.grus.values() for layer in layers]
        assert [layer.direction for layer in read] == [x.direction for x in stack]
        for layer, other in zip(read, stack, strict=True):
            for one, two in zip(layer.directions, other.directions, strict=True):
                assert one == two or one.fold_biases() == two.with_bias().fold_biases()
        assert any(file.unstated.values()) <= (form.activations == "unstated")
    assert holds


@EACH_WRITTEN
def test_one_format_recognises_what_it_wrote(tmp_path, monkeypatch, form):
    skip_reading_back(form, monkeypatch)
    for suffix in form.suffixes or (None,):
        folder = tmp_path / str(suffix)
        folder.mkdir()
        for stack in STACKS.values():
            path = folder / name_of(form, suffix)
            try:
                write_weights(path, stack, form.name)
            except WeightsError:
                continue
            break
        asked = [each for each in FORMATS.values() if each.why_not]
        known = [each.name for each in asked if each.why_not(Candidate(path)) is None]
        assert len(known) == 1
        assert form.read is None or known == [form.name]


@EACH_WRITTEN
def test_nothing_is_overwritten(tmp_path, monkeypatch, form):
    skip_reading_back(form, monkeypatch)
    path, stack = write_first(form, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(FileExistsError, match="exists already"):
        write_weights(path, stack, form.name)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@EACH_WRITTEN
def test_truncated_files(tmp_path, monkeypatch, form):
    skip_reading_back(form, monkeypatch)
    path, _ = write_first(form, tmp_path)
    for file in tmp_path.iterdir():
        whole = file.read_bytes()
        for size in (len(whole) - 1, len(whole) // 2, 12):
            file.write_bytes(whole[:size])
            with pytest.raises(WeightsError, match=str(path)):
                read_weights(path, recurrent_activation="sigmoid")
        file.write_bytes(whole)


@EACH_WRITTEN
def test_files_with_wrong_bytes(tmp_path, monkeypatch, form):
    """Most formats have no checksum: only numbers may change, or reading fails."""
    skip_reading_back(form, monkeypatch)
    rng = np.random.default_rng(0)
    path, _ = write_first(form, tmp_path)
    refused = accepted = tried = 0
    for file in tmp_path.iterdir():
        whole = file.read_bytes()
        for _ in range(30):
            wrong = bytearray(whole)
            for place in rng.integers(0, len(wrong), 5):
                wrong[place] = rng.integers(256)
            file.write_bytes(wrong)
            tried += 1
            try:
                read_weights(path, recurrent_activation="sigmoid")
            except WeightsError as error:
                refused += str(path) in str(error)
            else:
                accepted += 1
        file.write_bytes(whole)
    assert refused
    assert refused + accepted == tried, "an error does not name the file"


@EACH
def test_a_file_that_no_format_knows(tmp_path, monkeypatch, form):
    for package in form.packages:  # the error must not ask for it
        monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "a.bin").write_bytes(b"some text\n" * 9)
    with pytest.raises(WeightsError, match="no format recognises this file") as error:
        inspect_weights(tmp_path / "a.bin")
    assert (f" {form.name}: " in str(error.value)) == (form.why_not is not None)


@EACH_WRITTEN
def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch, form):
    skip_reading_back(form, monkeypatch)
    path, stack = write_first(form, tmp_path)
    for package in form.packages:
        monkeypatch.setitem(sys.modules, package, None)
    if form.packages:
        names = "|".join(form.packages)
        with pytest.raises(ImportError, match=rf"need the package ({names}).*pip inst"):
            inspect_weights(path)
        with pytest.raises(ImportError, match=rf"need the package ({names}).*pip inst"):
            write_weights(tmp_path / f"b{path.name}", stack, form.name)
    else:
        inspect_weights(path)


def test_a_new_format_is_one_object(tmp_path, monkeypatch):
    """Adds a format with the required attributes only."""
    npz = FORMATS["npz"]

    def why_not(candidate):
        return None if candidate.start == b"made up" else "not made up"

    def read(path, reset_after):
        return WeightsFile("made_up", {"gru": STACKS["after"]})

    new = dataclasses.replace(
        npz,
        name="made_up",
        suffixes=(".made",),
        why_not=why_not,
        read=read,
        write=lambda path, stack: path.write_bytes(b"made up"),
        gate_order="h r z",
    )
    monkeypatch.setitem(FORMATS, "made_up", new)
    path = tmp_path / "gru.made"
    write_weights(path, STACKS["after"], "made_up")
    file = inspect_weights(path)
    assert (file.format, file.gate_order) == ("made_up", "h r z")
    assert read_weights(path) == STACKS["after"]
    with pytest.raises(WeightsError, match="reads differently"):
        write_weights(tmp_path / "other.made", STACKS["before"], "made_up")
    (tmp_path / "x").write_bytes(b"\0")
    with pytest.raises(WeightsError, match="made_up: not made up"):
        inspect_weights(tmp_path / "x")
