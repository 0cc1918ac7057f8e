"""Static shapes and dtypes equal Keras' on every engine, as later layers read them.

If a loop loses a static shape, no number changes, but `TimeDistributed` takes another
axis and `Flatten` fails.
"""

import functools

import keras
import pytest
import tensorflow as tf
from support.cudnn import pretend_gpu

import tf_gru_addon
from tf_gru_addon import native
from tf_gru_addon.ops import engines, litert

F, U = 3, 5
#: (batch, timesteps), for every case; and more of them for some.
SIZES = [(None, 4)]
MORE_SIZES = [(4, 4), (None, None), (2, None), (2, 4), (None, 1)]
EVERY_SIZE = {"sequences_state", "masked"}
CASES = {
    "last": {},
    "sequences": {"return_sequences": True},
    "sequences_state": {"return_sequences": True, "return_state": True},
    "masked": {"return_sequences": True, "return_state": True, "masked": True},
    "masked_zero": {"masked": True, "zero_output_for_mask": True},
    "initial_state": {"return_state": True, "initial_state": True},
    "backwards": {"return_sequences": True, "go_backwards": True},
    "unroll": {"return_sequences": True, "return_state": True, "unroll": True},
    "unroll_last": {"unroll": True, "masked": True},
    "stateful": {"return_sequences": True, "stateful": True},
    "before": {"return_sequences": True, "reset_after": False},
    "selu": {"return_sequences": True, "return_state": True, "activation": "selu"},
    "dropout": {"return_sequences": True, "dropout": 0.5, "training": True},
}
OF_THE_CALL = ("masked", "initial_state", "training")
DTYPES = {"float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16"}
#: By engine: the cases that it does not support, and the dtypes that it supports.
ENGINES = {
    "portable": (set(), DTYPES),
    "litert": (set(), DTYPES),
    "native": ({"selu"}, {"bfloat16", "mixed_bfloat16"}),
    "cudnn": ({"before", "selu"}, {"float16", "float64", "mixed_float16"}),
}


def _layer(cls, name, **options):
    own = {key: CASES[name][key] for key in CASES[name] if key not in OF_THE_CALL}
    # Orthogonal weights need an op that bfloat16 lacks.
    return cls(U, recurrent_initializer="zeros", **own, **options)


def _trace(layer, name, sizes):
    """Returns the static shapes and dtypes of a call's result, in its structure.

    Args:
        layer: A layer.
        name: The case, which says how the layer is called.
        sizes: Batch and timesteps of the inputs.
    """
    case, dtype = CASES[name], layer.compute_dtype
    found = []

    @tf.function(autograph=False)
    def function(x, mask, state):
        results = layer(
            x,
            mask=mask if case.get("masked") else None,
            initial_state=state if case.get("initial_state") else None,
            training=case.get("training"),
        )
        described = tf.nest.map_structure(
            lambda y: (tuple(y.shape), y.dtype.name), results
        )
        found.append(described)

    function.get_concrete_function(
        tf.TensorSpec([*sizes, F], dtype),
        tf.TensorSpec(sizes, tf.bool),
        tf.TensorSpec([sizes[0], U], dtype),
    )
    return found[-1]


def _traces(layer, name):
    sizes = [*SIZES, *(MORE_SIZES if name in EVERY_SIZE else [])]
    if CASES[name].get("stateful"):
        sizes = [(4, 4)]
    return {each: _trace(layer, name, each) for each in sizes}


@functools.cache
def _expected(name, policy="float32"):
    return _traces(_layer(keras.layers.GRU, name, dtype=policy), name)


def _actual(engine, name, monkeypatch, policy="float32"):
    if engine == "native" and not native.status().available:
        pytest.skip(f"native: {native.status().reason}")
    layer = _layer(tf_gru_addon.GRU, name, dtype=policy)
    if engine == "cudnn":  # traced as if there were a GPU
        pretend_gpu(monkeypatch)
    with engines.using(litert.ENGINE if engine == "litert" else engine):
        return _traces(layer, name)


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        (e, name)
        for e, (lacks, _) in ENGINES.items()
        for name in sorted(CASES.keys() - lacks)
    ],
)
def test_every_option(engine, name, monkeypatch):
    assert _actual(engine, name, monkeypatch) == _expected(name)


@pytest.mark.parametrize(
    ("engine", "policy"),
    [(e, policy) for e, (_, takes) in ENGINES.items() for policy in sorted(takes)],
)
def test_every_dtype(engine, policy, monkeypatch):
    name = "initial_state"
    assert _actual(engine, name, monkeypatch, policy) == _expected(name, policy)


@pytest.mark.parametrize("name", CASES)
def test_symbolic_shapes(name):
    layers = [_layer(cls, name) for cls in (tf_gru_addon.GRU, keras.layers.GRU)]
    sizes = [*SIZES, *MORE_SIZES, (None, 0), (2, 0)]
    for shape in (
        [(4, 4, F)] if CASES[name].get("stateful") else [(*s, F) for s in sizes]
    ):
        actual, expected = (layer.compute_output_shape(shape) for layer in layers)
        assert actual == expected
        actual, expected = (
            keras.tree.map_structure(
                lambda y: f"{y.shape} {y.dtype}", layer(keras.Input(batch_shape=shape))
            )
            for layer in layers
        )
        assert actual == expected


@pytest.mark.parametrize("name", ["last", "sequences_state", "masked", "unroll"])
def test_no_timesteps(name):
    """Keras' layer cannot run these inputs, but computes their shapes."""
    layer, keras_layer = (
        _layer(cls, name) for cls in (tf_gru_addon.GRU, keras.layers.GRU)
    )
    for sizes in [(None, 0), (2, 0)]:
        expected = keras_layer.compute_output_shape((*sizes, F))
        actual = _trace(layer, name, sizes)
        if CASES[name].get("return_state"):
            assert [shape for shape, _ in actual] == list(expected)
        else:
            assert actual[0] == expected


@pytest.mark.parametrize("name", ["last", "masked", "unroll", "stateful", "dropout"])
def test_the_cell_inside_rnn(name):
    def traces(cls):
        options = {key: CASES[name][key] for key in CASES[name].keys() - OF_THE_CALL}
        own = {key: options.pop(key) for key in options.keys() & {"dropout"}}
        cell = cls(U, implementation=2, recurrent_initializer="zeros", **own)
        return _traces(keras.layers.RNN(cell, **options), name)

    assert traces(tf_gru_addon.GRUCell) == traces(keras.layers.GRUCell)
