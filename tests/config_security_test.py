"""A config can only name listed classes and arguments; it never runs code."""

import itertools
import os

import pytest

from tf_gru_addon.config import ConfigError, load_config, parse_config

FOREIGN = {
    "module": "os",
    "class_name": "system",
    "config": {"command": "true"},
    "registered_name": None,
}


def content(**layer):
    return {
        "data": {"dataset": "japanese_vowels"},
        "model": {"features": 12, "layers": [layer, {"Dense": {"units": 9}}]},
        "training": {"epochs": 1},
    }


@pytest.mark.parametrize(
    "layer",
    [
        *(
            "Lambda",
            "TorchModuleWrapper",
            "TFSMLayer",
            "JaxLayer",
            "FlaxLayer",
            "Layer",
        ),
        *("os.system", "keras.layers.Lambda", "__import__", "keras>Lambda"),
        *("tf_gru_addon>GRU", "module", "class_name", "function", ""),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_only_listed_layers(layer, nested):
    part = {layer: {"function": "print"}}
    outer = {"TimeDistributed": {"layer": part}} if nested else part
    with pytest.raises(ConfigError, match="a config cannot name the layer"):
        parse_config(content(**outer))


@pytest.mark.parametrize(
    "argument",
    [
        *(
            "kernel_initializer",
            "kernel_regularizer",
            "kernel_constraint",
            "activation",
        ),
        *("recurrent_initializer", "recurrent_activation", "activity_regularizer"),
        *("bias_constraint", "units", "dropout", "seed", "use_bias"),
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        FOREIGN,
        {"Lambda": {"function": "print"}},
        {"class_name": "Lambda"},
        {"class_name": "GlorotUniform", "config": {}},
        "os.system",
        "os>system",
        "keras.src.utils.file_utils>get_file",
        "builtins.print",
        [FOREIGN],
    ],
)
def test_no_serialized_object_as_an_argument(argument, value):
    with pytest.raises(ConfigError, match=rf"^model\.layers\[0\]\.GRU\.{argument}"):
        parse_config(content(GRU={"units": 2} | {argument: value}))


@pytest.mark.parametrize("argument", ["weights", "dtype", "custom_objects", "config"])
def test_only_listed_arguments(argument):
    with pytest.raises(ConfigError, match="has no such argument here"):
        parse_config(
            content(Bidirectional={"layer": {"GRU": {"units": 2}}, argument: 1})
        )


@pytest.mark.parametrize("section", ["optimizer", "data", "training", "export"])
def test_no_serialized_object_as_a_section(section):
    with pytest.raises(ConfigError):
        parse_config(content(GRU={"units": 2}) | {section: FOREIGN})


def test_no_serialized_learning_rate():
    optimizer = {"Adam": {"learning_rate": FOREIGN}}
    with pytest.raises(
        ConfigError, match=r"^optimizer\.Adam\.learning_rate: expected a n"
    ):
        parse_config(content(GRU={"units": 2}) | {"optimizer": optimizer})


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.mkdir [{path}]",
        "!!python/object/new:os.mkdir [{path}]",
        "!!python/name:os.mkdir",
        "!!python/module:os",
        "!!python/object:os.mkdir {{}}",
        "!anything {{}}",
    ],
)
@pytest.mark.parametrize("as_override", [False, True])
def test_yaml_creates_no_objects(tmp_path, tag, as_override):
    trace = tmp_path / "trace"
    text = tag.format(path=trace)
    path = tmp_path / "mine.yaml"
    path.write_text("training: {epochs: 1}" if as_override else f"training: {text}")
    with pytest.raises(ConfigError, match="could not determine a constructor"):
        load_config(path, [f"training.epochs={text}"] if as_override else [])
    assert not os.path.exists(trace)


@pytest.mark.parametrize("name", ["GRU.__init__", "__class__", "names"])
def test_names_are_not_attributes(name):
    with pytest.raises(ConfigError, match="a config cannot name the layer"):
        parse_config(content(**{name: {}}))


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}]\n"
    for a, b in itertools.pairwise("abcdefghi")
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, r"line 1: aliases \(\*a\) and anchors \(&a\) are not supported\. Write"),
        ("training: *x", r"line 1: aliases \(\*x\)"),
        ("model:\n  layers: &x []", r"line 2: aliases \(\*x\)"),
        ("training:\n  <<: {epochs: 1}", r"line 2: merge keys \(<<\) are not supp"),
    ],
)
def test_errors_show_values(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"^{path}: {message}"):
        load_config(path)


def test_an_error_shortens_a_value_without_formatting_all_of_it():
    bomb = ["x"] * 9
    for _ in range(12):
        bomb = [bomb] * 9
    with pytest.raises(
        ConfigError, match=r"got \[.{1,60} \(list\)\. Known: "
    ) as caught:
        parse_config(content(GRU={"units": 2, "activation": bomb}))
    assert len(str(caught.value)) < 500


def test_a_number_of_any_length_is_shown():
    with pytest.raises(ConfigError, match=r"got 0xfff\S+\.\.\. \(int\)"):
        parse_config(content(GRU={"units": 2, "activation": 16**9999 - 1}))
