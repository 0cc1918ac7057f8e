"""Inputs to compare on: their sizes, masks and ids; running a model on them."""

import keras
import numpy as np
import pytest

import tf_gru_addon
from tf_gru_addon.errors import ExportError
from tf_gru_addon.flat_model import flat_model
from tf_gru_addon.verify import example_inputs, run_model


def _model(*layers, shape=(None, 3), **options):
    return keras.Sequential([keras.Input(shape, **options), *layers])


def _examples(model):
    return example_inputs(flat_model(model))


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


@pytest.mark.parametrize("timesteps", [None, 5, 8])
def test_some_batch_is_no_other_size(timesteps):
    """So that an export that takes one axis for another has another shape."""
    cases = _examples(_model(keras.layers.Dense(2), shape=(timesteps, 8)))
    shapes = [arrays[0].shape for arrays in cases.values()]
    assert any(batch > 2 and batch not in (t, 8) for batch, t, _ in shapes)


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


def test_running_a_model_leaves_its_states():
    layer = tf_gru_addon.GRU(2, stateful=True)
    model = flat_model(_model(layer, batch_size=2))
    x = [np.ones((2, 4, 3), "float32")]
    first, again = run_model(model, x), run_model(model, x)
    np.testing.assert_array_equal(first, again)
    assert not np.asarray(layer.states[0]).any()
