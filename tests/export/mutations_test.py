"""Wrong exports are caught, and right ones are not refused, whatever the model."""

import dataclasses

import keras
import numpy as np
import pytest

import tf_gru_addon
from tf_gru_addon.export import ExportError
from tf_gru_addon.export.parity_report import ParityReport, require_passed
from tf_gru_addon.export.prepare import prepared
from tf_gru_addon.export.targets.saved_model import TARGET, export_saved_model
from tf_gru_addon.export.whole import export_whole
from tf_gru_addon.flat_model import flat_model
from tf_gru_addon.verify import compare, example_inputs, run_model

UNITS = 24


def _model(*, chaotic, mask=True, reset_after=True, timesteps=None):
    """Returns a model; a chaotic one multiplies rounding at every timestep."""
    gru = tf_gru_addon.GRU(
        UNITS, reset_after=reset_after, return_sequences=True, name="gru"
    )
    layers = [keras.Input((timesteps, 6), name="x")]
    layers += [keras.layers.Masking()] if mask else []
    model = keras.Sequential([*layers, gru, keras.layers.Dense(3, name="y")])
    rng = np.random.default_rng(0)
    kernel, recurrent_kernel, bias = (
        rng.normal(size=w.shape, scale=w.shape[0] ** -0.5) for w in gru.get_weights()
    )
    gru.set_weights([kernel, recurrent_kernel * (12 if chaotic else 1), bias])
    return model


def _swapped_gates(weights, gru):
    order = np.r_[UNITS : 2 * UNITS, :UNITS, 2 * UNITS : 3 * UNITS]
    gru.set_weights([w[..., order] for w in weights])


def _other_reset(weights, gru):
    kernel, recurrent_kernel, bias = weights
    bias = bias.sum(0) if bias.ndim == 2 else np.stack([bias, 0 * bias])
    gru.set_weights([kernel, recurrent_kernel, bias])


def _no_bias(weights, gru):
    gru.set_weights([*weights[:2], 0 * weights[2]])


def _no_mask(weights, gru):
    gru.set_weights(weights)


MUTATIONS = {
    _swapped_gates: {},
    _other_reset: {"reset_after": False},
    _no_bias: {},
    _no_mask: {"mask": False},
}


def _mutated(model, mutate, **options):
    wrong = _model(chaotic=False, **{**options, **MUTATIONS[mutate]})
    mutate(model.get_layer("gru").get_weights(), wrong.get_layer("gru"))
    wrong.layers[-1].set_weights(model.layers[-1].get_weights())
    return wrong


def _report(model, other, tmp_path, dtype=None):
    flat, other = flat_model(model), flat_model(other)
    comparison = compare(
        lambda arrays: run_model(flat, arrays),
        lambda arrays: [y.astype("float32") for y in run_model(other, arrays)],
        example_inputs(flat),
        flat,
        1e-5,
    )
    return ParityReport("other", tmp_path / "a", 1, {}, comparison, 1.0)


@pytest.mark.parametrize("chaotic", [True, False])
@pytest.mark.parametrize("mutate", MUTATIONS)
def test_a_wrong_export_is_caught(mutate, chaotic, tmp_path):
    model = _model(chaotic=chaotic)
    report = _report(model, _mutated(model, mutate), tmp_path)
    assert (report.allowed > 1e-4) == chaotic
    with pytest.raises(ExportError, match="differs from the model by"):
        require_passed(report)


@pytest.mark.parametrize("reset_after", [True, False])
def test_a_right_export_of_a_chaotic_model_passes(reset_after, tmp_path):
    model = _model(chaotic=True, reset_after=reset_after)
    exact = keras.models.clone_model(
        model,
        clone_function=lambda layer: type(layer).from_config(
            {**layer.get_config(), "dtype": "float64"}
        ),
    )
    exact.set_weights(model.get_weights())
    report = _report(model, exact, tmp_path)
    assert "batch 2, timesteps 101" in report.comparison.undecided
    assert max(error for _, error in report.cases) > 0.1
    assert require_passed(report).max_error < 1e-3


def test_a_chaotic_model_as_a_saved_model(tmp_path):
    model = _model(chaotic=True)
    report = export_saved_model(model, tmp_path / "right", beside_keras=False)
    assert report.passed
    assert report.comparison.undecided
    assert "10 times what" in str(report)
    target = _writing(_mutated(model, _no_bias))
    with pytest.raises(ExportError, match="differs from the model by"):
        export_whole(target, model, tmp_path / "wrong", beside_keras=False)


def _writing(wrong):
    """Returns a target that writes another model than the one it is given."""

    def write(model, path, quantize):
        return TARGET.write(prepared(flat_model(wrong)), path, quantize)

    return dataclasses.replace(TARGET, write=write)


def test_examples_in_the_place_of_inputs_that_tell_nothing(tmp_path):
    model = _model(chaotic=True, timesteps=101)
    with pytest.raises(ExportError, match=r"cannot be judged.*only_examples=True"):
        export_saved_model(model, tmp_path / "random", beside_keras=False)
    x = np.zeros((2, 101, 6), "float32")
    x[:, :6] = np.random.default_rng(0).normal(size=(2, 6, 6))
    report = export_saved_model(
        model,
        tmp_path / "short",
        examples={"short": [x]},
        only_examples=True,
        beside_keras=False,
    )
    assert [name for name, _ in report.cases] == ["short"]
    assert not report.comparison.undecided
    assert model.weights[0].value is not None


def test_an_export_of_another_shape_is_refused_and_says_so(tmp_path):
    """NumPy would broadcast these outputs against each other."""
    model = _model(chaotic=False)
    narrow = keras.layers.Dense(1, name="y")
    wrong = keras.Sequential(
        [keras.Input((None, 6), name="x"), *model.layers[:-1], narrow]
    )
    shapes = r"has the shape \(1, 50, 1\) where the model's has \(1, 50, 3\)"
    with pytest.raises(ExportError, match=shapes) as error:
        export_whole(_writing(wrong), model, tmp_path / "wrong", beside_keras=False)
    assert "FAILED" in str(error.value.report)
    assert shapes.replace("\\", "") in str(error.value.report)
