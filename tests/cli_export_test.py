"""`export` and `deploy` on the command line."""

import keras
import numpy as np
import pytest

import tf_gru_addon
from tf_gru_addon.export import targets
from tf_gru_addon.export.saved_model import load_saved_model


@pytest.fixture
def file(tmp_path):
    """A .keras file of a model."""
    layers = [keras.Input((None, 3)), keras.layers.Masking(), tf_gru_addon.GRU(4)]
    path = tmp_path / "model.keras"
    keras.Sequential(layers).save(path)
    return path


def test_a_keras_file(call, file, tmp_path):
    arguments = ("export", "--model", file, "--output", tmp_path / "out" / "served")
    code, out, _ = call(*arguments)
    assert code == 0
    assert "parity   passed" in out
    assert "served: written; it differs from the trained model by" in out
    x = np.ones((2, 3, 3), "float32")
    (y,) = load_saved_model(tmp_path / "out" / "served")([x])
    expected = keras.saving.load_model(file)(x)
    np.testing.assert_allclose(y, expected, atol=1e-6)
    code, out, err = call(*arguments)
    assert code == 2
    assert "served: exists already" in err
    assert not out


def test_a_failed_parity(call, file, tmp_path, monkeypatch):
    target = targets.target_of("saved_model")

    def export(model, path, **options):
        return target.export(model, path, **options, tolerance=-1.0)

    monkeypatch.setitem(
        targets.TARGETS, "saved_model", lambda: target._replace(export=export)
    )
    output = tmp_path / "served"
    code, out, err = call("export", "--model", file, "--output", output)
    assert code == 1
    assert "parity   FAILED" in out
    assert "differs from the model" in err
    assert output.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "export needs either --workdir or --model"),
        (["--model", "{file}", "--workdir", "a"], "either --workdir or --model"),
        (["--model", "{file}", "--format", "onx"], "must be one of saved_model, onnx"),
        (["--model", "{tmp}/no.keras"], "no.keras: there is no such file"),
        (["--model", "{tmp}/a.txt"], "a.txt: not a .keras file"),
        (["--model", "{tmp}/a.keras"], "a.keras: not a .keras file"),
        (["--model", "{tmp}/lambda.keras"], "lambda.keras: cannot be loaded ("),
    ],
)
def test_what_cannot_be_exported(call, file, tmp_path, arguments, message):
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "a.keras").write_text("no zip file")
    layers = [keras.Input((None, 3)), keras.layers.Lambda(lambda x: x)]
    keras.Sequential(layers).save(tmp_path / "lambda.keras")
    places = {"{file}": str(file), "{tmp}": str(tmp_path)}
    for old, new in places.items():
        arguments = [argument.replace(old, new) for argument in arguments]
    code, _, err = call("export", *arguments, "--output", tmp_path / "served")
    assert code == 2
    assert err.startswith("error: ")
    assert message in err
    assert not (tmp_path / "served").exists()


def test_without_the_extra(call, file, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    output = tmp_path / "model.onnx"
    code, _, err = call(
        "export", "--model", file, "--format", "onnx", "--output", output
    )
    assert code == 2
    assert "ONNX exports need 'onnx', which is not installed" in err
    assert 'pip install "tf_gru_addon[export]"' in err
    assert not output.exists()
