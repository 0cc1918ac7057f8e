"""`export` and `deploy` on the command line."""

import keras
import numpy as np
import pytest

import tf_gru_addon
from tf_gru_addon.export.targets import target_of
from tf_gru_addon.flat_model import flat_model
from tf_gru_addon.packages import install_command


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
    model = keras.saving.load_model(file)
    run = target_of("saved_model").load(tmp_path / "out" / "served", flat_model(model))
    (y,) = run([x])
    expected = model(x)
    np.testing.assert_allclose(y, expected, atol=1e-6)
    code, out, err = call(*arguments)
    assert code == 2
    assert "served: exists already" in err
    assert not out


def test_a_failed_parity(call, file, tmp_path):
    examples = tmp_path / "nan.npz"
    np.savez(examples, broken=np.full((2, 3, 3), np.nan, "float32"))
    output = tmp_path / "served"
    arguments = ("--model", file, "--output", output, "--examples", examples)
    code, out, err = call("export", *arguments)
    assert code == 1
    assert "parity   FAILED" in out
    assert "differs from the model by nan for the case 'broken'" in err
    assert output.exists()


def test_examples_instead_of_random_inputs(call, file, tmp_path):
    examples = tmp_path / "x.npz"
    (name,) = [x.name for x in keras.saving.load_model(file).inputs]
    np.savez(examples, **{name: np.ones((2, 3, 3))})
    arguments = ["--model", file, "--examples", examples, "--tolerance", "1e-4"]
    code, out, _ = call("export", *arguments, "--output", tmp_path / "a")
    assert code == 0
    assert "allowed 1e-04" in out
    assert "batch 5" in out
    assert str(examples) in out
    arguments += ["--only_examples", "--streaming"]
    code, out, _ = call("export", *arguments, "--output", tmp_path / "b")
    assert code == 0
    assert "batch 5" not in out
    assert str(examples) in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "export needs either --workdir or --model"),
        (["--model", "{file}", "--workdir", "a"], "either --workdir or --model"),
        (
            ["--model", "{file}", "--format", "onx"],
            "should be one of <litert|onnx|saved_model>",
        ),
        (["--model", "{tmp}/no.keras"], "no.keras: there is no such file"),
        (["--model", "{tmp}/a.txt"], "a.txt: not a .keras file"),
        (["--model", "{tmp}/a.keras"], "a.keras: not a .keras file"),
        (["--model", "{tmp}/lambda.keras"], "lambda.keras: cannot be loaded ("),
        (["--model", "{tmp}/old.h5"], "tf-gru-addon convert {tmp}/old.h5 {tmp}/old.ke"),
        (["--model", "{file}", "--examples", "{tmp}/no.npz"], "no.npz: there is no"),
        (["--model", "{file}", "--examples", "{tmp}/a.txt"], "must be an .npz file"),
        (["--model", "{file}", "--examples", "{tmp}/x.npz"], "shape (any, any, 3)"),
        (["--model", "{file}", "--only_examples"], "leaves nothing to compare on"),
        (["--model", "{file}", "--tolerance", "nan"], "tolerance must be a finite"),
    ],
)
def test_impossible_exports_are_refused(call, file, tmp_path, arguments, message):
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "old.h5").write_bytes(b"\x89HDF")
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 3, 4)))
    (tmp_path / "a.keras").write_text("no zip file")
    layers = [keras.Input((None, 3)), keras.layers.Lambda(lambda x: x)]
    keras.Sequential(layers).save(tmp_path / "lambda.keras")
    places = {"{file}": str(file), "{tmp}": str(tmp_path)}
    for old, new in places.items():
        arguments = [argument.replace(old, new) for argument in arguments]
        message = message.replace(old, new)
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
    assert "onnx exports need 'onnx', 'onnxruntime', 'tf2onnx', which are not" in err
    assert f"Run: {install_command(extra='export')}" in err
    assert not output.exists()


def test_a_model_with_unknown_training_classes(call, tmp_path, capsys):
    class Clip(keras.constraints.Constraint):
        def __call__(self, w):
            return keras.ops.clip(w, -0.5, 0.5)

    gru = tf_gru_addon.GRU(4, recurrent_constraint=Clip(), bias_regularizer=_penalty)
    model = keras.Sequential([keras.Input((None, 3), name="x"), gru])
    model.compile(loss=_penalty)
    model.save(tmp_path / "clipped.keras")
    output = tmp_path / "served"
    code, _, err = call(
        "export", "--model", tmp_path / "clipped.keras", "--output", output
    )
    assert code == 0
    assert err.startswith("warning: ")
    assert "and not used in inference: Clip, _penalty" in err
    x = np.ones((2, 3, 3), "float32")
    run = target_of("saved_model").load(output, flat_model(model))
    np.testing.assert_allclose(run([x])[0], model(x), atol=1e-6)


def _penalty(*arguments):
    return keras.ops.sum(arguments[0])
