"""What every export target must do, over the registry of the targets."""

import dataclasses
import importlib
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from support import streams
from support.harness import assert_close

from tf_gru_addon import GRU
from tf_gru_addon.cli import COMMANDS
from tf_gru_addon.errors import ExportError, RunError
from tf_gru_addon.export import export_streaming
from tf_gru_addon.export.target import Target
from tf_gru_addon.export.targets import targets
from tf_gru_addon.export.whole import export_whole
from tf_gru_addon.files import size
from tf_gru_addon.flat_model import flat_model

pytestmark = [  # raised by protobuf, onnx and tf2onnx
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

EVERY_TARGET = pytest.mark.parametrize("target", targets().values(), ids=targets())
#: The same, for tests that run the packages of a target.
RUN_EVERY_TARGET = pytest.mark.parametrize(
    "target",
    [
        pytest.param(target, marks=pytest.mark.peer if target.packages else (), id=name)
        for name, target in targets().items()
    ],
)
#: The targets that cannot keep a state from one call to the next.
REFUSE_STATES = {"litert"}
X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
ONCE = {"examples": {"x": [X]}, "only_examples": True}
EXPORT_PAGE = Path(__file__).parents[2] / "docs" / "export.md"


def _sequential(*layers, shape=(None, 3), **options):
    model = keras.Sequential([keras.Input(shape, **options), *layers])
    rng = np.random.default_rng(7)
    model.set_weights([rng.normal(0, 0.4, w.shape) for w in model.weights])
    return model


def _several_inputs_and_outputs():
    """The inputs and the outputs are not in the order of their names."""
    x, h = keras.Input((None, 3), name="my frames"), keras.Input((4,), name="h")
    y, state = GRU(4, return_sequences=True, return_state=True)(x, initial_state=h)
    return keras.Model([x, h], [keras.layers.Dense(2, name="z")(y), state, y])


MODELS = {
    "masked": lambda: _sequential(
        keras.layers.Masking(),
        keras.layers.Bidirectional(GRU(4, return_sequences=True)),
        keras.layers.TimeDistributed(keras.layers.Dense(2)),
        GRU(3, zero_output_for_mask=True),
    ),
    "keras": lambda: _sequential(
        keras.layers.Embedding(7, 5, mask_zero=True),
        keras.layers.GRU(4, return_sequences=True, go_backwards=True),
        keras.layers.RNN(keras.layers.GRUCell(3, reset_after=False)),
        keras.layers.Dense(2, activation="softmax"),
        shape=(6,),
    ),
    "several": _several_inputs_and_outputs,
}


def test_a_target_has_the_name_of_its_module():
    (choices,) = [f.choices for f in COMMANDS["export"].flags if f.name == "format"]
    assert set(choices()) == set(targets())
    for name, target in targets().items():
        module = importlib.import_module(f"tf_gru_addon.export.targets.{name}")
        assert module.TARGET is target
        assert target.name == name
        assert target.suffix[:1] in ("", ".")
        assert target.tolerances["none"] > 0


def test_the_documentation_lists_the_targets():
    rows = []
    for target in targets().values():
        packages = ", ".join(f"`{package}`" for package in target.packages) or "none"
        cells = (f"`{target.name}`", target.file, target.whole, target.step, packages)
        rows.append(f"| {' | '.join(cells)} |")
    page = EXPORT_PAGE.read_text("utf-8")
    table = page.partition("<!-- targets -->")[2].partition("<!-- end of targets -->")[
        0
    ]
    assert table.strip().splitlines()[2:] == rows


@RUN_EVERY_TARGET
@pytest.mark.parametrize("name", MODELS)
def test_a_model_keeps_its_outputs(name, target, tmp_path):
    model = MODELS[name]()
    kinds = [type(layer) for layer in model.layers]
    engines = [getattr(layer, "engine", None) for layer in model.layers]
    path = tmp_path / f"new/model{target.suffix}"
    report = export_whole(target, model, path, beside_keras=False)
    assert report.max_error < 2e-6
    assert (report.format, report.path) == (target.name, path)
    assert report.size == size(path) > 0
    assert report.latency_ms > 0
    assert sum(report.ops.values()) > 1
    cases = {case for case, _ in report.cases}
    masked = {"right-padded", "left-padded", "masks with holes", "a row masked wholly"}
    assert bool(masked & cases) == (name in ("masked", "keras"))
    assert [type(layer) for layer in model.layers] == kinds
    assert [getattr(layer, "engine", None) for layer in model.layers] == engines


@RUN_EVERY_TARGET
def test_masked_frames_have_no_effect(target, tmp_path):
    x, mask = keras.Input((None, 3)), keras.Input((None,), dtype="bool")
    model = keras.Model([x, mask], GRU(4, return_sequences=True)(x, mask=mask))
    valid = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0]], bool)
    path = tmp_path / "a"
    once = {"examples": {"x": [X, valid]}, "only_examples": True}
    export_whole(target, model, path, beside_keras=False, **once)
    frames = X.copy()
    frames[~valid] = np.nan
    (y,) = target.load(path, flat_model(model))([frames, valid])
    assert_close(y, model([X, valid]))


@RUN_EVERY_TARGET
def test_a_stateful_layer_is_exported_or_refused(target, tmp_path):
    model = _sequential(GRU(4, stateful=True, name="memory"), batch_size=2)
    path = tmp_path / "a"
    if target.name in REFUSE_STATES:
        with pytest.raises(ExportError, match="memory: a stateful layer cannot"):
            export_whole(target, model, path)
        assert not list(tmp_path.iterdir())
    else:
        assert export_whole(target, model, path, beside_keras=False, **ONCE).passed
    assert not np.any(model.layers[0].states[0])


@RUN_EVERY_TARGET
@pytest.mark.parametrize(
    ("name", "mask"),
    [  # models that differ in the states of a step
        ("gru_hard_sigmoids", True),
        ("last_of_zero_outputs", False),
        ("convolutions", False),
        ("residual", False),
    ],
)
def test_one_step(name, mask, target, tmp_path):
    model = streams.model(name)
    report = export_streaming(model, tmp_path / "a", target.name, mask=mask)
    assert report.passed
    assert report.format == f"{target.name}, one step"
    assert report.size == size(tmp_path / "a")
    assert "no export of a step" in report.keras_reason
    cases = [case for case, _ in report.cases]
    assert "every other row starts anew" in cases
    assert ("a mask with holes" in cases) == mask


@RUN_EVERY_TARGET
def test_keras_own_export_is_measured_or_its_failure_reported(target, tmp_path):
    report = export_whole(target, _sequential(GRU(4)), tmp_path / "a", **ONCE)
    measured = report.keras_size and report.keras_latency_ms
    assert bool(measured) != bool(report.keras_reason)


def _write_junk(model, path):
    path.write_bytes(b"no model")


def _fail(model, path):
    raise ValueError("no such op")


@pytest.mark.parametrize(
    ("keras_export", "reason"),
    [
        (
            _write_junk,
            r"{} does not run what `model\.export` of Keras 3",
        ),
        (_fail, r"`model\.export` of Keras 3\S+ fails on this model: no such op$"),
    ],
)
def test_a_failure_of_keras_own_export(keras_export, reason, tmp_path):
    target = targets()["saved_model"]
    failing = dataclasses.replace(target, keras_export=keras_export)
    report = export_whole(failing, _sequential(GRU(4)), tmp_path / "a", **ONCE)
    assert re.match(reason.format(target.runtime), report.keras_reason)


@RUN_EVERY_TARGET
def test_an_export_with_other_outputs_is_kept(target, tmp_path):
    path, examples = tmp_path / "a", {"NaN": [X * np.float32(np.nan)]}
    model = _sequential(GRU(4, return_sequences=True))
    for write in _ways(target):
        with pytest.raises(ExportError, match=r"by nan for the case 'NaN'.*stays") as e:
            write(model, path, examples=examples, only_examples=True)
        assert not e.value.report.passed
        assert np.isnan(dict(e.value.report.cases)["NaN"])
        assert path.exists()
        path = tmp_path / "b"


@EVERY_TARGET
def test_an_existing_output_is_refused(target, tmp_path):
    path = tmp_path / "kept"
    path.write_text("mine")
    for write in _ways(target):
        with pytest.raises(ExportError, match="kept: exists already"):
            write(_sequential(GRU(2)), path)
    assert path.read_text() == "mine"


@EVERY_TARGET
def test_a_path_that_cannot_be_written(target, tmp_path):
    (tmp_path / "file").write_text("")
    for export in _ways(dataclasses.replace(target, packages=())):
        with pytest.raises(RunError, match="cannot be written"):
            export(_sequential(GRU(2)), tmp_path / "file" / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@EVERY_TARGET
def test_a_failed_export_leaves_nothing(target, tmp_path):
    def write(*arguments):
        (path,) = [each for each in arguments if isinstance(each, Path)]
        path.write_text("half")
        raise ExportError("the op is missing")

    failing = dataclasses.replace(target, packages=(), write=write, write_step=write)
    for export in _ways(failing):
        with pytest.raises(ExportError, match="the op is missing"):
            export(_sequential(GRU(2)), tmp_path / "a")
    assert not list(tmp_path.iterdir())


@EVERY_TARGET
def test_a_missing_package_is_named(target, tmp_path):
    packages = ("no_such_package",)
    for export in _ways(dataclasses.replace(target, packages=packages)):
        with pytest.raises(ImportError, match=r"need 'no_such_package'.* Run: ") as e:
            export(_sequential(GRU(2)), tmp_path / "a")
        assert target.name in str(e.value)
    assert not list(tmp_path.iterdir())


def _ways(target: Target):
    """Yields what exports a model as a whole, and one step of it."""
    yield lambda model, path, **options: export_whole(target, model, path, **options)
    yield lambda model, path, **options: export_streaming(
        model, path, target, **options
    )
