import subprocess
import sys

import keras
import numpy as np
import pytest

from tf_gru_addon.training import RunError, WorkdirError, export
from tf_gru_addon.training.export import export_saved_model

SERVE = """
import sys
import numpy as np
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
with np.load(sys.argv[2]) as file:
    outputs = {key: loaded.serve(file[key]).numpy() for key in file}
assert "tf_gru_addon" not in sys.modules
np.savez(sys.argv[3], **outputs)
"""


def test_the_saved_model_needs_tensorflow_alone(run, test_data, tmp_path):
    path, _ = run
    model = keras.saving.load_model(path / "model.keras")
    frames = test_data.frames
    inputs = {
        "as trained": frames,
        "one": frames[:1],
        "one frame": frames[:, :1],
        "longer": np.pad(frames, ((0, 0), (0, 20), (0, 0))),
        "more": np.tile(frames, (30, 1, 1)),
    }
    np.savez(tmp_path / "in.npz", **inputs)
    arguments = (path / "saved_model", tmp_path / "in.npz", tmp_path / "out.npz")
    command = [sys.executable, "-c", SERVE, *map(str, arguments)]
    subprocess.run(command, check=True, cwd=tmp_path, env={"PATH": ""})
    with np.load(tmp_path / "out.npz") as outputs:
        for key, x in inputs.items():
            np.testing.assert_allclose(outputs[key], model(x), atol=1e-5, err_msg=key)
        np.testing.assert_allclose(outputs["longer"], outputs["as trained"], atol=1e-5)


def test_export(run, tmp_path, test_data):
    output = tmp_path / "served" / "mine"
    assert export(run[0], output)["max_difference"] < 1e-5
    assert (output / "saved_model.pb").exists()
    with pytest.raises(WorkdirError, match="exists already"):
        export(run[0], output)


def test_export_where_nothing_can_be_written(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"mine: cannot be written"):
        export(run[0], tmp_path / "file" / "mine")


def test_an_export_that_differs_is_not_put_in_place(run, tmp_path, test_data):
    model = keras.saving.load_model(run[0] / "model.keras")
    output = tmp_path / "mine"
    output.mkdir()
    (output / "old").write_text("")
    frames = np.full_like(test_data.frames, np.nan)
    with pytest.raises(RunError, match="SavedModel differs from the model by nan for"):
        export_saved_model(model, output, frames, 1e-5)
    assert [file.name for file in tmp_path.rglob("*")] == ["mine", "old"]
