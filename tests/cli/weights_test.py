"""`inspect` and `convert` on the command line."""

from pathlib import Path

import keras
import numpy as np
import pytest
from support.random_weights import random_weights

import tf_gru_addon
from tf_gru_addon.weights import read_weights, write_tf1_checkpoint, write_weights

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture
def npz(tmp_path):
    path = tmp_path / "in.npz"
    write_weights(path, random_weights(3, 2), "npz")
    return path


def test_inspect_prints_a_table(npz, call):
    code, out, _ = call("inspect", npz)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == f"{npz}: npz, gates in the order z r h"
    assert lines[1].split() == [
        *("GRU", "layer", "direction", "features", "units", "reset", "bias"),
        *("activations", "dtype", "parameters"),
    ]
    assert lines[3].split()[:6] == ["gru", "0", "forward", "3", "2", "after"]
    assert lines[3].split()[-1] == "42"


def test_inspect_reads_the_gate_order_of_another_framework(npz, call, tmp_path):
    call("convert", npz, tmp_path / "a.npz", "--format", "torch")
    _, out, _ = call("inspect", tmp_path / "a.npz")
    assert "torch, gates in the order r z n" in out


def test_convert_there_and_back(npz, call, tmp_path):
    code, out, _ = call("convert", npz, tmp_path / "a.npz", "--format=torch")
    assert code == 0
    assert "a.npz: torch, 1 layer; read back by " in out
    assert call("convert", tmp_path / "a.npz", tmp_path / "b.npz")[0] == 0
    assert read_weights(tmp_path / "b.npz") == read_weights(npz)


def test_keras_weights_need_their_activation(call, tmp_path):
    model = keras.Sequential([keras.Input((None, 3)), keras.layers.GRU(2)])
    source, target = tmp_path / "m.weights.h5", tmp_path / "m.npz"
    model.save_weights(source)
    code, _, err = call("convert", source, target)
    assert (code, target.exists()) == (2, False)
    assert "recurrent_activation" in err
    assert call("inspect", source)[0] == 0
    assert call("convert", source, target, "--recurrent_activation=sigmoid")[0] == 0
    np.testing.assert_array_equal(
        read_weights(target)[0].forward.kernel, model.get_weights()[0]
    )


def test_activations_in_the_file_need_no_flag(call, tmp_path):
    model = keras.Sequential(
        [
            keras.Input((None, 3)),
            keras.layers.GRU(2, activation="relu", recurrent_activation="hard_sigmoid"),
        ]
    )
    model.save(tmp_path / "m.keras")
    code, out, _ = call("inspect", tmp_path / "m.keras")
    assert (code, "relu, keras_hard_sigmoid" in out, "?" in out) == (0, True, False)
    target = tmp_path / "m.weights.h5"
    code, _, err = call("convert", tmp_path / "m.keras", target, "--activation=tanh")
    assert (code, target.exists()) == (2, False)
    assert "activation is relu in the file, for the GRU 'layers/gru'; received" in err
    code, out, _ = call("convert", tmp_path / "m.keras", target)
    assert code == 0
    assert "keras3, 1 layer; read back by Keras 3" in out
    assert "activation='relu', recurrent_activation='keras_hard_sigmoid'" in out
    model.load_weights(target)


@pytest.fixture
def stack(tmp_path):
    """A checkpoint of three stacked cells."""
    path = tmp_path / "model.ckpt"
    cells = {
        f"rnn/cell_{i}": random_weights(3, 3, reset_after=False, seed=i)
        for i in (0, 1, 10)
    }
    write_tf1_checkpoint(path, cells)
    return path


def test_several_grus(stack, call, tmp_path):
    code, _, err = call("convert", stack, tmp_path / "a.npz")
    assert code == 2
    assert "model.ckpt: there are 3 GRUs. Choose with --name; several" in err
    assert "'rnn/cell_0', 'rnn/cell_1', 'rnn/cell_10'" in err
    names = ["--name=rnn/cell_0", "--name", "rnn/cell_10"]
    code, out, _ = call("convert", stack, tmp_path / "a.npz", *names)
    assert code == 0
    assert "a.npz: npz, 2 layers; read back by this package" in out
    assert "activation: tanh, as IN does not state one" in out
    chosen = ["rnn/cell_0", "rnn/cell_10"]
    assert read_weights(tmp_path / "a.npz") == read_weights(stack, chosen)
    call("convert", stack, tmp_path / "b.npz", "--name=*", "--activation=relu")
    read = read_weights(tmp_path / "b.npz")
    assert [layer.activation for layer in read] == ["relu"] * 3


def test_a_file_for_each_gru(stack, call, tmp_path):
    code, out, _ = call("convert", stack, tmp_path / "{name}.h5")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines() if "keras2" in line] == [
        str(tmp_path / f"rnn_cell_{i}.h5") for i in (0, 1, 10)
    ]
    before = sorted(tmp_path.iterdir())
    code, _, err = call("convert", stack, tmp_path / "{name}.h5", "--name=*_10")
    assert (code, sorted(tmp_path.iterdir())) == (2, before)
    assert "rnn_cell_10.h5 exists already" in err
    assert call("convert", stack, tmp_path / "{name}.npz", "--name=*_10")[0] == 0
    assert len([*tmp_path.glob("*.npz")]) == 1


def test_unknown_activations_are_refused(npz, call, tmp_path):
    write_weights(tmp_path / "m.h5", random_weights(), "keras2")
    for flag in ("activation", "recurrent_activation"):
        arguments = ["--recurrent_activation=sigmoid", f"--{flag}=sigmiod"]
        code, _, err = call(
            "convert", tmp_path / "m.h5", tmp_path / "a.npz", *arguments
        )
        assert code == 2
        assert f"{flag} must be the name of an activation; received: 'sigmiod'. " in err
        assert "Did you mean 'sigmoid'?" in err
    assert not (tmp_path / "a.npz").exists()


def test_errors_name_flags_and_not_arguments(call, tmp_path):
    write_weights(tmp_path / "m.h5", random_weights(bias=False), "keras2")
    _, _, err = call("inspect", tmp_path / "m.h5")
    assert "Give --reset_after" in err
    code, out, _ = call("inspect", tmp_path / "m.h5", "--reset_after")
    assert code == 0
    assert out.splitlines()[-1] == (
        "?: the file does not state it; convert takes --activation and "
        "--recurrent_activation."
    )
    call_again = [tmp_path / "m.h5", tmp_path / "a.npz", "--noreset_after"]
    code, _, err = call("convert", *call_again)
    assert "Give --recurrent_activation: " in err


def test_files_without_a_gru(call, tmp_path):
    dense = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    dense.save_weights(tmp_path / "m.weights.h5")
    code, out, _ = call("inspect", tmp_path / "m.weights.h5")
    assert (code, out) == (0, f"{tmp_path / 'm.weights.h5'}: keras, no GRU\n")
    (tmp_path / "empty.onnx").write_bytes(b"")
    code, _, err = call("inspect", tmp_path / "empty.onnx")
    assert (code, "empty.onnx: the file is empty" in err) == (2, True)


def test_a_whole_model_of_keras_1(call, tmp_path):
    source, target = FIXTURES / "keras1_gru.h5", tmp_path / "m.keras"
    code, out, _ = call("convert", source, target)
    assert code == 0
    assert "loaded again, it is the same" in out
    expected = tf_gru_addon.load_legacy_model(source)
    x = np.ones([1, *(n or 4 for n in expected.input_shape[1:])], "float32")
    np.testing.assert_array_equal(
        keras.models.load_model(target)(x), np.asarray(expected(x))
    )
    assert call("convert", source, target)[0] == 2  # it exists


def test_files_that_are_not_models(npz, call, tmp_path):
    code, _, err = call("convert", npz, tmp_path / "m.keras")
    assert code == 2
    assert "in.npz" in err
    assert not (tmp_path / "m.keras").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inspect"], "inspect needs FILE"),
        (["inspect", "a", "b"], "inspect takes no 'b'"),
        (["convert", "a"], "convert needs OUT"),
        (["inspect", "missing.npz"], "missing.npz: there is no such file"),
        (["convert", "IN", "out.xyz"], "its name does not say what to write"),
        (["convert", "IN", "IN"], "exists already"),
        (["convert", "IN", "out.npz", "--format=zip"], "--format"),
    ],
)
def test_errors_are_one_line(arguments, message, npz, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [str(npz) if each == "IN" else each for each in arguments]
    before = npz.read_bytes()
    code, _, err = call(*arguments)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert npz.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.npz"]


def test_damaged_files_are_refused(npz, call, tmp_path):
    (tmp_path / "bad.npz").write_bytes(npz.read_bytes()[:200])
    code, _, err = call("inspect", tmp_path / "bad.npz")
    assert code == 2
    assert "bad.npz" in err
