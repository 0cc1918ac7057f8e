"""Unsupported layers are refused, and code in a file is never run."""

import os
import pathlib
import warnings

import pytest
from support.legacy_files import edit_config, edit_layer, refuses


def test_code_is_never_run(tf_keras, tmp_path):
    """Tries a Lambda that writes a file when it is called or loaded."""
    trace = str(tmp_path / "trace")

    def attack(x, trace=trace):
        pathlib.Path(trace).touch()
        return x

    model = tf_keras.Sequential(
        [tf_keras.layers.Lambda(attack, input_shape=(2,), name="innocent")]
    )
    os.unlink(trace)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("model.h5", "model.keras"):
            model.save(tmp_path / name)
            pathlib.Path(trace).unlink(missing_ok=True)
            refuses(tmp_path / name, "'innocent' (Lambda)", "code", "never run")
            assert not os.path.exists(trace)


@pytest.mark.parametrize(
    "changes",
    [
        {"class_name": "system", "module": "os", "registered_name": "os>system"},
        {"class_name": "Popen", "module": "subprocess", "registered_name": None},
        {"class_name": "os.system"},
        {"class_name": "Dense", "module": "evil", "registered_name": "Dense"},
        {"class_name": "Dense", "module": "keras", "registered_name": "evil>Dense"},
        {"class_name": "__lambda__", "config": {"name": "x", "value": "4wEAAAA="}},
        {"class_name": "TensorFlowOpLayer"},
        {"class_name": "TFOpLambda", "module": "evil"},
    ],
)
def test_classes_are_never_imported_by_name(path, changes):
    edit_layer(path, **changes)
    refuses(path, changes["class_name"], "custom_objects")


def test_a_class_of_the_user(path):
    edit_layer(path, "MyModel")
    refuses(path, "'dense' (MyModel)", "custom_objects", "Dense")
    edit_config(path, lambda config: {**config, "class_name": "MyModel"})
    refuses(path, "'model' (MyModel)", "rebuild the model")
