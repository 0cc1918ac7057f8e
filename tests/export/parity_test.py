import keras
import numpy as np
import pytest

import tf_gru_addon
from tf_gru_addon.export import ExportError, ParityReport
from tf_gru_addon.export.parity import measure, new_output
from tf_gru_addon.export.parity_report import require_passed
from tf_gru_addon.flat_model import flat_model
from tf_gru_addon.verify import Comparison, compare, example_inputs, run_model


def _model(*layers, shape=(None, 3), **options):
    return keras.Sequential([keras.Input(shape, **options), *layers])


def _examples(model):
    return example_inputs(flat_model(model))


def _report(tmp_path, *errors, rounding=None, problems=None):
    cases = tuple((f"case {i}", error) for i, error in enumerate(errors))
    comparison = Comparison(cases, 1e-5, rounding or {}, problems or {})
    return ParityReport("onnx", tmp_path / "a", 1500, {"GRU": 2}, comparison, 0.5)


def _compare(received, arrays):
    """Compares with a model that returns its input."""
    x = keras.Input(batch_shape=[None] * arrays[0].ndim, dtype=arrays[0].dtype.name)
    model = flat_model(keras.Model(x, keras.layers.Identity(dtype=x.dtype)(x)))
    return compare(lambda a: a, received, {"one": arrays}, model, np.inf)


def test_examples_of_a_model_of_any_sizes():
    cases = _examples(_model(tf_gru_addon.GRU(2)))
    shapes = {name: arrays[0].shape for name, arrays in cases.items()}
    assert shapes == {
        "batch 1, timesteps 50": (1, 50, 3),
        "batch 5, timesteps 8": (5, 8, 3),
        "batch 1, timesteps 1": (1, 1, 3),
        "batch 3, timesteps 1": (3, 1, 3),
        "batch 2, timesteps 101": (2, 101, 3),
    }
    assert next(iter(cases.values()))[0].dtype == np.float32


def test_examples_of_a_model_of_fixed_sizes():
    layer = tf_gru_addon.GRU(2, stateful=True)
    cases = _examples(_model(layer, shape=(4, 3), batch_size=2))
    assert {n: a[0].shape for n, a in cases.items()} == {
        "batch 2, timesteps 4": (2, 4, 3)
    }


@pytest.mark.parametrize(
    ("model", "value"),
    [
        (lambda: _model(keras.layers.Masking(-7.0), tf_gru_addon.GRU(2)), -7),
        (
            lambda: _model(
                keras.layers.Embedding(5, 2, mask_zero=True),
                tf_gru_addon.GRU(2),
                shape=(None,),
            ),
            0,
        ),
        (
            lambda: _model(
                _model(keras.layers.Masking(-7.0), tf_gru_addon.GRU(2)),
            ),
            -7,
        ),
    ],
    ids=["masking", "embedding", "nested"],
)
def test_examples_with_masks(model, value):
    cases = _examples(model())
    masks = {
        name: (x != value).reshape(*x.shape[:2], -1).any(2)
        for name, (x,) in cases.items()
    }
    right = masks["right-padded"]
    assert (np.diff(right.astype(int)) <= 0).all()
    assert not right.all()
    assert right.any(1).all()
    assert (masks["left-padded"] == right[:, ::-1]).all()
    assert (abs(np.diff(masks["masks with holes"].astype(int))).sum(1) > 1).any()
    assert not masks["a row masked wholly"][-1].any()
    assert masks["batch 5, timesteps 8"].all()


def test_examples_of_ids_are_within_the_vocabulary():
    model = _model(keras.layers.Embedding(5, 2), tf_gru_addon.GRU(2), shape=(None,))
    for (x,) in _examples(model).values():
        assert set(np.unique(x)) <= set(range(5))


def test_a_model_that_takes_a_mask():
    x, mask = keras.Input((None, 3)), keras.Input((None,), dtype="bool")
    model = keras.Model([x, mask], tf_gru_addon.GRU(2)(x, mask=mask))
    x, mask = _examples(model)["right-padded"]
    assert mask.dtype == bool
    assert x.shape == (*mask.shape, 3)
    assert not mask.all()


def test_the_flat_model_of_named_inputs_and_outputs():
    inputs = {"b": keras.Input((None, 3), name="b"), "a": keras.Input((2,), name="a")}
    outputs, state = tf_gru_addon.GRU(2, return_state=True)(
        inputs["b"], initial_state=inputs["a"]
    )
    model = keras.Model(inputs, {"y": outputs, "h": state})
    flat = flat_model(model)
    arrays = example_inputs(flat)["batch 5, timesteps 8"]
    names = [tensor.name for tensor in flat.inputs]
    expected = model(dict(zip(names, arrays, strict=True)))
    actual = run_model(flat, arrays)
    np.testing.assert_array_equal(actual[0], expected["h"])
    assert len(actual) == 2


class _Subclass(keras.Model):
    def __init__(self):
        super().__init__()
        self.gru = tf_gru_addon.GRU(2)

    def call(self, x):
        return self.gru(x)


def test_what_is_no_model_to_export():
    with pytest.raises(ExportError, match=r"must be a keras\.Model; received a str"):
        flat_model("model.keras")
    with pytest.raises(ExportError, match=r"is not built.*Begin it with a keras\.In"):
        flat_model(keras.Sequential([tf_gru_addon.GRU(2)]))
    model = _Subclass()
    model(np.zeros((1, 2, 3), "float32"))
    with pytest.raises(ExportError, match=r"a _Subclass does not say.*keras\.Model.x"):
        flat_model(model)
    x = keras.Input((None, 3))
    assert flat_model(keras.Model(x, model(x))).outputs


def test_running_a_model_leaves_its_states():
    layer = tf_gru_addon.GRU(2, stateful=True)
    model = flat_model(_model(layer, batch_size=2))
    x = [np.ones((2, 4, 3), "float32")]
    first, again = run_model(model, x), run_model(model, x)
    np.testing.assert_array_equal(first, again)
    assert not np.asarray(layer.states[0]).any()


def test_errors_are_absolute_below_1_and_relative_above():
    x = [np.array([0.5, 100.0])]
    ((_, error),) = _compare(lambda a: [a[0] + [1e-3, 1e-3]], x).cases
    assert error == pytest.approx(1e-3)
    ((_, error),) = _compare(lambda a: [a[0] + [0, 1e-3]], x).cases
    assert error == pytest.approx(1e-5)


def test_large_examples_are_compared_in_full():
    shift = np.zeros((1000, 2))
    shift[999, 1] = 0.5
    seen = []

    def received(arrays):
        start = sum(seen)
        seen.append(len(arrays[0]))
        return [arrays[0] + shift[start : start + seen[-1]]]

    assert _compare(received, [np.zeros((1000, 2))]).cases == (("one", 0.5),)
    assert sum(seen) == 1000
    assert max(seen) < 1000


def _raise(arrays):
    raise RuntimeError("no such kernel")


@pytest.mark.parametrize(
    ("received", "problem"),
    [
        (lambda a: [a[0].T], r"shape \(3, 2\) where the model's has \(2, 3\)"),
        (lambda a: [a[0][:, :1]], r"shape \(2, 1\) where"),  # which would broadcast
        (lambda a: [a[0], a[0]], "it has 2 outputs where the model has 1"),
        (lambda a: [a[0].astype("int32")], "the dtype int32 where .* has float32"),
        (_raise, "the export does not run: no such kernel"),
    ],
)
def test_outputs_of_another_form(received, problem, tmp_path):
    comparison = _compare(received, [np.zeros((2, 3), "float32")])
    assert comparison.cases == (("one", np.inf),)
    report = ParityReport("onnx", tmp_path / "a", 1, {}, comparison, 0.5)
    assert not report.passed
    with pytest.raises(ExportError, match=f"case 'one': .*{problem}.*It stays"):
        require_passed(report)
    assert comparison.problems["one"] in str(report)


def test_nan_is_seen():
    ((_, error),) = _compare(lambda a: [a[0] + np.nan], [np.zeros((2, 3))]).cases
    assert np.isnan(error)


@pytest.mark.parametrize("timesteps", [None, 5, 8])
def test_some_batch_is_no_other_size(timesteps):
    """So that an export that takes one axis for another has another shape."""
    cases = _examples(_model(keras.layers.Dense(2), shape=(timesteps, 8)))
    shapes = [arrays[0].shape for arrays in cases.values()]
    assert any(batch > 2 and batch not in (t, 8) for batch, t, _ in shapes)


@pytest.mark.parametrize(
    ("errors", "passed"),
    [((1e-6, 9e-6), True), ((0.0, 2e-5), False), ((0.0, np.nan, 1.0), False)],
)
def test_a_report(tmp_path, errors, passed):
    report = _report(tmp_path, *errors)
    assert report.passed == passed
    assert ("passed" if passed else "FAILED") in str(report)
    if passed:
        assert require_passed(report) is report
        return
    with pytest.raises(ExportError, match=r"differs .* 'case 1'.*stays where") as e:
        require_passed(report)
    assert e.value.report is report


def test_a_report_of_what_rounding_explains(tmp_path):
    report = _report(tmp_path, 1e-6, 5e-5, rounding={"case 1": 1e-5})
    assert report.passed
    assert report.allowed == pytest.approx(1e-4)
    assert "5e-05  case 1; rounding alone: 1e-05" in str(report)
    assert "10 times what" in str(report)
    report = _report(tmp_path, 1e-6, 5e-4, rounding={"case 1": 1e-5})
    with pytest.raises(ExportError, match=r"0\.0005 .*'case 1'.* 10 times what ro"):
        require_passed(report)


def test_cases_that_tell_nothing(tmp_path):
    rounding = {"case 1": 0.5, "case 2": 2e-6}
    report = _report(tmp_path, 1e-6, 0.9, 1.1e-5, rounding=rounding)
    assert report.passed
    assert report.max_error == 1.1e-5
    assert "rounding alone: 5e-01, undecided" in str(report)
    rounding["case 2"] = 0.1
    report = _report(tmp_path, 1e-6, 0.9, 0.9, rounding=rounding)
    assert not report.passed
    with pytest.raises(
        ExportError, match=r"cannot be judged.*0\.5, in 2 of 3.*examples"
    ):
        require_passed(report)


def test_a_report_says_what_keras_gives(tmp_path):
    values = vars(_report(tmp_path, 1e-7))
    report = ParityReport(**values | {"keras_latency_ms": 2.5, "keras_size": 3 * 10**6})
    assert "Keras' own export: 2.500 ms, 3.00 MB" in str(report)
    report = ParityReport(**values | {"keras_reason": "no such form"})
    assert "Keras' own export: none: no such form" in str(report)


def test_an_existing_output_is_refused(tmp_path):
    path = tmp_path / "new" / "a"
    with new_output(path) as unfinished:
        unfinished.write_text("x")
    assert path.read_text() == "x"
    with pytest.raises(ExportError, match="a: exists already"), new_output(path):
        pytest.fail("the output was to be refused")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ExportError, match="link: exists already"):
        new_output(tmp_path / "link").__enter__()


def test_measure():
    calls = []
    assert measure(calls.append, [], seconds=0) >= 0
    assert len(calls) == 8


def test_what_a_model_refuses_is_no_example():
    refusing = keras.layers.Reshape((2, -1, 3))
    layer = keras.layers.TimeDistributed(tf_gru_addon.GRU(2))
    assert set(_examples(_model(refusing, layer))) == {
        "batch 1, timesteps 50",
        "batch 5, timesteps 8",
    }


def test_a_model_that_refuses_everything():
    model = _model(keras.layers.Reshape((7, 11, 13, 17)))
    with pytest.raises(ExportError, match=r"sequential.*itself runs on no example"):
        _examples(model)
