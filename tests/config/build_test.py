import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_gru_addon
from tf_gru_addon.config import ConfigError, build_model, load_config, parse_config
from tf_gru_addon.config.catalogs import LAYERS

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))

# By layer: the layers to put before and after it to make a valid model.
IN_A_MODEL = {
    "Bidirectional": [{"Bidirectional": {"layer": {"GRU": {"units": 3}}}}],
    "TimeDistributed": [
        {"TimeDistributed": {"layer": {"Dense": {"units": 3}}}},
        "last",
    ],
    "RNN": [{"RNN": {"cell": {"GRUCell": {"units": 3}}}}],
    "Dense": [{"Dense": {"units": 3}}, "last"],
    "Dropout": [{"Dropout": {"rate": 0.5}}, "last"],
    "SpatialDropout1D": [{"SpatialDropout1D": {"rate": 0.5}}, "last"],
    "GaussianNoise": [{"GaussianNoise": {"stddev": 0.5}}, "last"],
    "GaussianDropout": [{"GaussianDropout": {"rate": 0.5}}, "last"],
    "Activation": [{"Activation": {"activation": "tanh"}}, "last"],
    "LayerNormalization": ["LayerNormalization", "last"],
    "BatchNormalization": ["BatchNormalization", "last"],
    "ReLU": ["ReLU", "last"],
    "GlobalAveragePooling1D": [{"Dense": {"units": 3}}, "GlobalAveragePooling1D"],
}
LAST = {"GRU": {"units": 3}}


def make(layers, **sections):
    content = {
        "data": {"dataset": "japanese_vowels"},
        "model": {"features": 2, "layers": [*layers, {"Dense": {"units": 4}}]},
        "training": {"epochs": 1},
    }
    return parse_config(content | sections)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_each_config_builds(path):
    model = build_model(load_config(path))
    assert model.input_shape == (None, None, 12)
    assert model.output_shape == (None, 9)


def test_the_top_level_names():
    assert tf_gru_addon.load_config is load_config
    assert tf_gru_addon.build_model is build_model


def test_gru_layers_come_from_this_package():
    config = make(
        [
            {"GRU": {"units": 3, "return_sequences": True}},
            {"RNN": {"cell": {"GRUCell": {"units": 3}}}},
        ]
    )
    model = build_model(config)
    assert isinstance(model.layers[2], tf_gru_addon.GRU)
    assert isinstance(model.layers[3].cell, tf_gru_addon.GRUCell)


def test_nested_arguments_reach_the_layers():
    part = {
        "units": 3,
        "kernel_initializer": {"constant": {"value": 0.5}},
        "bias_initializer": "ones",
        "kernel_regularizer": {"l2": {"l2": 0.25}},
        "recurrent_constraint": {"max_norm": {"max_value": 1.5}},
        "activation": None,
    }
    layer = build_model(make([{"GRU": part}])).layers[2]
    assert layer.cell.kernel_regularizer.l2 == 0.25
    assert layer.cell.recurrent_constraint.max_value == 1.5
    assert layer.cell.activation is keras.activations.linear
    np.testing.assert_array_equal(layer.cell.kernel, 0.5)


@pytest.mark.parametrize("name", LAYERS.names)
def test_padding_does_not_change_the_result(name):
    layers = IN_A_MODEL.get(name, [{name: {"units": 3}}])
    layers = [LAST if layer == "last" else layer for layer in layers]
    data = {"dataset": "japanese_vowels", "padding_value": -1.0}
    model = build_model(make(layers, data=data))
    rng = np.random.default_rng(0)
    short = rng.normal(size=(3, 4, 2)).astype(np.float32)
    long = np.pad(short, ((0, 0), (0, 3), (0, 0)), constant_values=-1.0)
    np.testing.assert_allclose(model(short), model(long), rtol=1e-5, atol=1e-6)
    long[:, 0] *= -1  # but data does change it
    assert not np.allclose(model(short), model(long), atol=1e-3)


@pytest.mark.parametrize(
    ("activation", "from_logits"),
    [(None, True), ("tanh", True), ("softmax", False)],
)
def test_the_loss_takes_logits_unless_the_last_activation_is_softmax(
    activation, from_logits
):
    last = {"Dense": {"units": 4, "activation": activation}}
    config = make([LAST])
    config.model.layers[-1] = last
    assert build_model(config).loss.from_logits is from_logits


def test_the_seed_determines_the_weights():
    def weights(seed):
        training = {"epochs": 1, "seed": seed}
        return np.concatenate(
            [
                w.ravel()
                for w in build_model(make([LAST], training=training)).get_weights()
            ]
        )

    np.testing.assert_array_equal(weights(3), weights(3))
    assert not np.array_equal(weights(3), weights(4))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Adam", {"learning_rate": 0.5, "clipnorm": 1.0}),
        ("AdamW", {"weight_decay": 0.1}),
        ("SGD", {"momentum": 0.5, "nesterov": True}),
        *((name, {}) for name in ("Nadam", "Adamax", "Adagrad", "Adadelta", "RMSprop")),
        ("Lion", {"beta_1": 0.8}),
    ],
)
def test_optimizers(name, arguments):
    optimizer = build_model(make([LAST], optimizer={name: arguments})).optimizer
    assert type(optimizer).__name__ == name
    config = optimizer.get_config()
    for key, value in arguments.items():
        assert config[key] == pytest.approx(value)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [LAST, LAST],
            "model.layers[1].GRU: cannot be applied to its input, of sha",
        ),
        (
            [{"Dense": {"units": 3}}],
            "the last layer must give (batch, classes); its output has the shape "
            "(None, None, 4). Set",
        ),
        (
            [{"LayerNormalization": {"axis": 7}}, LAST],
            "model.layers[0].LayerNormalization: cannot be applied to its input",
        ),
        (
            [{"Bidirectional": {"layer": {"Dense": {"units": 3}}}}],
            "model.layers[0].Bidirectional: Bidirectional refuses its arguments",
        ),
        (
            ["ReLU", {"GRU": {"units": 3, "engine": "warp"}}],
            "model.layers[1].GRU: GRU refuses its arguments",
        ),
    ],
)
def test_a_layer_that_fails_is_named(layers, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_model(make(layers))


def test_a_layer_that_does_not_fit_into_memory_is_named(monkeypatch):
    def allocate(*arguments, **options):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    monkeypatch.setattr(tf_gru_addon.GRU, "build", allocate)
    with pytest.raises(ConfigError, match=r"^model\.layers\[0\]\.GRU: .*OOM when"):
        build_model(make([LAST]))


def test_an_optimizer_that_fails_is_named():
    optimizer = {"Adam": {"clipnorm": 1.0, "clipvalue": 1.0}}
    with pytest.raises(ConfigError, match=r"^optimizer\.Adam: Adam refuses"):
        build_model(make([LAST], optimizer=optimizer))


@pytest.mark.parametrize("config", [None, {}, "configs/tiny.yaml", Path("tiny.yaml")])
def test_other_values_are_not_configs(config):
    message = "config: expected what `load_config` returns; got "
    with pytest.raises(ConfigError, match=message):
        build_model(config)
