"""Every reader refuses HDF5 files that link to other files or never end."""

import io
import os
import shutil
import zipfile
import zlib

import h5py
import keras
import numpy as np
import pytest
from support import fuzzing
from support.legacy_files import FIXTURES
from support.random_weights import random_weights

import tf_gru_addon
from tf_gru_addon import load_legacy_model
from tf_gru_addon.reading import Budget, FileRefusedError, hdf5_trial
from tf_gru_addon.reading.hdf5 import MAX_DEPTH, open_hdf5
from tf_gru_addon.training.evaluate import load_run
from tf_gru_addon.training.workdir import Workdir
from tf_gru_addon.weights import inspect_weights, read_weights, write_weights

CANARY = 0.123456789


def external(file, name, folder):
    values = np.full(file[name].shape, CANARY, "f4")
    values.tofile(folder / "canary.bin")
    replace(file, name, external=[(str(folder / "canary.bin"), 0, values.nbytes)])


def external_pipe(file, name, folder):
    os.mkfifo(folder / "pipe")
    replace(file, name, external=[(str(folder / "pipe"), 0, h5py.h5f.UNLIMITED)])


def replace(file, name, **options):
    shape = file[name].shape
    del file[name]
    file.create_dataset(name, shape, "f4", **options)


def virtual(file, name, folder):
    shape = file[name].shape
    with h5py.File(folder / "canary.h5", "w") as canary:
        canary["x"] = np.full(shape, CANARY, "f4")
    layout = h5py.VirtualLayout(shape, "f4")
    layout[...] = h5py.VirtualSource(str(folder / "canary.h5"), "x", shape)
    del file[name]
    file.create_virtual_dataset(name, layout)


def external_link(file, name, folder):
    with h5py.File(folder / "canary.h5", "w") as canary:
        canary["x"] = np.full(file[name].shape, CANARY, "f4")
    del file[name]
    file[name] = h5py.ExternalLink(str(folder / "canary.h5"), "x")


def external_link_to_a_pipe(file, name, folder):
    os.mkfifo(folder / "pipe")
    del file[name]
    file[name] = h5py.ExternalLink(str(folder / "pipe"), "x")


def soft_link(file, name, folder):
    file.move(name, "elsewhere")
    file[name] = h5py.SoftLink("/elsewhere")


def unused_link(file, name, folder):
    file["unused"] = h5py.ExternalLink(str(folder / "canary.h5"), "x")


def cyclic_group(file, name, folder):
    group = file[name].parent
    group["again"] = group


def array_with_two_paths(file, name, folder):
    file["again"] = file[name]


HOSTILE = {
    external: "lie in another file",
    external_pipe: "lie in another file",
    virtual: "lie in another file",
    external_link: "is a soft or external link",
    external_link_to_a_pipe: "is a soft or external link",
    soft_link: "is a soft or external link",
    unused_link: "is a soft or external link",
    cyclic_group: "also has another path",
    array_with_two_paths: "also has another path",
}


def first_array(file):
    """Returns the name of the first array with more than one axis."""
    names = []
    file.visititems(
        lambda name, item: names.append(name) if getattr(item, "ndim", 0) > 1 else None
    )
    return names[0]


def damage(path, edit):
    """Edits an HDF5 file, or the one inside a `.keras` file."""
    if path.suffix != ".keras":
        with h5py.File(path, "r+") as file:
            edit(file, first_array(file), path.parent)
        return
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    weights = path.with_name("inner.h5")
    weights.write_bytes(members["model.weights.h5"])
    damage(weights, edit)
    members["model.weights.h5"] = weights.read_bytes()
    with zipfile.ZipFile(path, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)


def keras_model(path):
    layers = [keras.Input((None, 3)), tf_gru_addon.GRU(4), keras.layers.Dense(2)]
    keras.Sequential(layers).save(path)


def a_run(folder):
    config = {"data": {"dataset": "japanese_vowels"}, "training": {"epochs": 1}}
    layers = [{"GRU": {"units": 4}}, {"Dense": {"units": 9}}]
    config["model"] = {"features": 12, "layers": layers}
    (folder / "config.yaml").write_text(repr(config).replace("'", '"'))


@pytest.fixture
def weights_h5(tmp_path):
    write_weights(tmp_path / "gru.h5", random_weights(), "keras2")
    return tmp_path / "gru.h5"


@pytest.fixture
def model_keras(tmp_path):
    keras_model(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def refused(act, path, message):
    with fuzzing.bounded(), pytest.raises(ValueError, match=message) as caught:
        act(path)
    assert str(path) in str(caught.value)


ALL = pytest.mark.parametrize("edit", HOSTILE, ids=lambda edit: edit.__name__)


@ALL
def test_weights(weights_h5, edit):
    damage(weights_h5, edit)
    refused(inspect_weights, weights_h5, HOSTILE[edit])
    read = lambda path: read_weights(path, recurrent_activation="sigmoid")  # noqa: E731
    refused(read, weights_h5, HOSTILE[edit])


@ALL
def test_weights_in_a_keras_file(model_keras, edit):
    damage(model_keras, edit)
    refused(inspect_weights, model_keras, HOSTILE[edit])


@ALL
def test_legacy_hdf5(tmp_path, edit):
    path = tmp_path / "model.h5"
    shutil.copy(FIXTURES / "keras2_gru.h5", path)
    damage(path, edit)
    refused(load_legacy_model, path, HOSTILE[edit])


@ALL
def test_legacy_keras_file(tf_keras, tmp_path, edit):
    path = tmp_path / "model.keras"
    layers = [tf_keras.layers.GRU(4, input_shape=(None, 3))]
    tf_keras.Sequential(layers).save(path)
    damage(path, edit)
    refused(load_legacy_model, path, HOSTILE[edit])


@ALL
def test_a_run(tmp_path, model_keras, edit):
    a_run(tmp_path)
    damage(model_keras, edit)
    refused(lambda path: load_run(Workdir(path.parent)), model_keras, HOSTILE[edit])


@pytest.mark.parametrize("edit", [external, external_link, external_pipe, cyclic_group])
def test_the_command_line(call, weights_h5, model_keras, tmp_path, edit):
    new = tmp_path / "new"
    convert = ("--recurrent_activation", "sigmoid")
    for path, arguments in [
        (weights_h5, ("inspect", weights_h5)),
        (weights_h5, ("convert", weights_h5, f"{new}.npz", *convert)),
        (model_keras, ("inspect", model_keras)),
        (model_keras, ("export", "--model", model_keras, "--output", new)),
    ]:
        if edit is external_pipe:
            (tmp_path / "pipe").unlink(missing_ok=True)
        if arguments[0] in ("convert", "export") or path is model_keras:
            path.unlink()
            if path is weights_h5:
                write_weights(path, random_weights(), "keras2")
            else:
                keras_model(path)
        damage(path, edit)
        with fuzzing.bounded():
            code, out, err = call(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert str(path) in err
        assert HOSTILE[edit] in err
        assert not [found for found in tmp_path.iterdir() if "new" in found.name]


# Files that would take unlimited time or memory.


def h5_of(edit, **options):
    """Returns the bytes of an HDF5 file."""
    content = io.BytesIO()
    with h5py.File(content, "w", **options) as file:
        edit(file)
    return content.getvalue()


def opens(content):
    with fuzzing.bounded(), open_hdf5(io.BytesIO(content), Budget(len(content))) as it:
        return it[1]


def refuses(content, message):
    with pytest.raises(FileRefusedError, match=message):
        opens(content)


def test_usual_files_are_accepted():
    def edit(file):
        file["b/c/d"] = np.ones(3)
        file["b/a"] = np.ones(3)
        file["a"] = np.ones(3)
        file["e"] = np.zeros((0, 5))

    assert opens(h5_of(edit)) == ["a", "b/a", "b/c/d", "e"]


def test_deep_groups():
    """Reading stops at a fixed depth, so the time is linear."""
    deepest = "/".join("g" * MAX_DEPTH)
    assert not opens(h5_of(lambda file: file.create_group(deepest)))
    for depth in (MAX_DEPTH + 1, 3000):
        path = "/".join("g" * depth)
        refuses(h5_of(lambda file, path=path: file.create_group(path)), "nested more")


def test_arrays_that_claim_much():
    def once(file):
        file.create_dataset("x", (10**9, 3), "f4", chunks=True)

    def often(file):
        for index in range(3):
            file.create_dataset(f"x{index}", (6, 10**6), "f4", chunks=(1, 10**6))

    def chunk(file):
        file.create_dataset("x", (1,), "f4", chunks=(10**9,), maxshape=(None,))

    refuses(h5_of(once), "'x' claims 12000000000 bytes, but the file holds 0 of them")
    refuses(h5_of(often), r"'x2' claims 24000000 bytes, .* may take at most \d+")
    refuses(h5_of(chunk), "'x' claims 4000000000 bytes")


def test_a_chunk_that_holds_more_than_its_shape():
    def edit(file):
        x = file.create_dataset("x", (1000,), "u1", chunks=(1000,), compression=9)
        x.id.write_direct_chunk((0,), zlib.compress(bytes(200 << 20), 9))

    refuses(h5_of(edit), "'x' decompresses to more bytes than its shape has")


def test_compressed_arrays_are_accepted():
    def edit(file):
        options = {"compression": "gzip", "shuffle": True, "fletcher32": True}
        file.create_dataset("x", data=np.arange(10**6, dtype="f4"), **options)

    assert opens(h5_of(edit)) == ["x"]
    lzf = h5_of(lambda f: f.create_dataset("x", data=[1.0], compression="lzf"))
    refuses(lzf, "uses the HDF5 filters .*32000.* only deflate")


def test_strings_may_share_one_heap_object():
    text = "x" * 100_000
    few = h5_of(lambda file: file.attrs.update(config=text, names=["a", "b"]))
    assert not opens(few)
    many = h5_of(lambda file: file.attrs.update(config=text, names=["a"] * 1000))
    refuses(many, "refers to 1000 texts")


def test_too_many_attributes():
    def edit(file):
        for index in range(1100):
            file.attrs[f"a{index}"] = index

    refuses(h5_of(edit, libver="latest"), "than 1000 attributes")


def test_a_heap_of_strings_with_a_cycle():
    content = h5_of(lambda file: file.attrs.update(config="text" * 9))
    at = content.index(b"GCOL")
    zeros = content[: at + 16] + bytes(4080) + content[at + 4096 :]
    assert len(zeros) == len(content)
    refuses(zeros, f"heap at byte {at} is damaged")
    back = bytearray(content)
    back[at + 24 : at + 32] = (2**64 - 32).to_bytes(8, "little")
    refuses(bytes(back), f"heap at byte {at} is damaged")


def test_a_heap_of_names_with_a_cycle():
    content = bytearray(h5_of(lambda file: file.create_group("a")))
    at = content.index(b"HEAP")
    free = int.from_bytes(content[at + 16 : at + 24], "little")
    base = int.from_bytes(content[at + 24 : at + 32], "little")
    content[base + free : base + free + 8] = free.to_bytes(8, "little")
    refuses(bytes(content), f"heap at byte {at} is damaged")


def test_overlapping_heaps():
    """Each of a thousand heaps would be read to its end."""
    content = h5_of(lambda file: file.create_dataset("x", data=np.zeros(10**6, "u1")))
    heap = b"GCOL\x01\0\0\0" + (16 * 10**4).to_bytes(8, "little")
    entry = b"\x01\0\0\0\0\0\0\0" + bytes(8)
    at = content.index(bytes(10**5))
    lies = (heap + entry) * 10**4
    refuses(content[:at] + lies + content[at + len(lies) :], "its heap at byte")


def test_chunks_of_another_rank():
    content = h5_of(lambda file: file.create_dataset("x", (7, 9), "f4", chunks=(7, 9)))
    # The dataspace message: version 1, two axes, no flags; then one axis.
    shape = (7).to_bytes(8, "little") + (9).to_bytes(8, "little")
    at = content.index(shape) - 8
    assert content[at : at + 2] == b"\x01\x02"
    refuses(content[: at + 1] + b"\x01" + content[at + 2 :], "chunks of the shape")


def newer(file):
    """Fills a file so that a group stores its names in a fractal heap."""
    for index in range(12):
        file[f"g/{index}"] = np.ones(3)


def test_a_file_with_the_newer_layout():
    content = h5_of(newer, libver="latest")
    assert b"FRHP" in content
    assert len(opens(content)) == 12


def test_a_heap_that_crashes_the_library():
    """Each file would crash this process if another process did not try it first."""
    content = h5_of(newer, libver="latest")
    messages = set()
    for place in range(content.index(b"FRHP") + 20, content.index(b"FRHP") + 140, 20):
        wrong = bytearray(content)
        wrong[place] ^= 0xFF
        with pytest.raises((FileRefusedError, OSError, RuntimeError)) as error:
            opens(bytes(wrong))
        messages.add(str(error.value).partition("(")[0])
    assert "the HDF5 library crashes on it " in messages


def test_a_file_on_which_the_library_hangs():
    content = h5_of(newer, libver="latest")
    with pytest.raises(FileRefusedError, match=r"has not read it within 0\.001 sec"):
        hdf5_trial.try_out(content, Budget(len(content)), seconds=0.001)
