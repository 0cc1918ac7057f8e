"""Separate architecture files, and damaged configs."""

import json
import warnings

import h5py
import keras
import numpy as np
import pytest
import yaml
from support import legacy_cases
from support.harness import assert_close
from support.legacy_cases import B, T, randomized
from support.legacy_files import refuses

from tf_gru_addon import load_legacy_model
from tf_gru_addon.migrate.legacy import LegacyModelError

WORDS = np.random.default_rng(2).integers(0, 11, (B, 2 * T)).astype("float32")


def build(k, units=3, **names):
    of = k.layers
    return k.Sequential(
        [
            of.Embedding(11, 4, input_length=2 * T, name=names.get("first")),
            of.Conv1D(4, 3, padding="same", activation="relu"),
            of.MaxPooling1D(2),
            of.Bidirectional(of.GRU(units, reset_after=False)),
            of.Dense(2, activation="hard_sigmoid", name=names.get("last")),
        ]
    )


@pytest.fixture
def separate_files(tf_keras, tmp_path):
    """Returns a model of Keras 2, and the paths of its weights and architecture."""
    model = randomized(build(tf_keras))
    weights, architecture = tmp_path / "weights.h5", tmp_path / "model.json"
    model.save_weights(weights)
    architecture.write_text(model.to_json())
    return model, weights, architecture


def test_an_architecture_and_its_weights(separate_files):
    model, weights, architecture = separate_files
    loaded = load_legacy_model(weights, architecture=str(architecture))
    assert [layer.name for layer in loaded.layers] == [x.name for x in model.layers]
    assert_close(loaded(WORDS), model(WORDS))


def test_layers_with_other_names_get_weights_in_order(
    tf_keras, separate_files, tmp_path
):
    model, weights, architecture = separate_files
    other = build(tf_keras, first="words", last="answer")
    architecture.write_text(other.to_json())
    assert_close(
        load_legacy_model(weights, architecture=architecture)(WORDS), model(WORDS)
    )


def test_the_weights_of_a_whole_model(separate_files, tmp_path):
    model, _, architecture = separate_files
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are saving your model as an HDF5")
        model.save(tmp_path / "whole.h5")
    loaded = load_legacy_model(tmp_path / "whole.h5", architecture=architecture)
    assert_close(loaded(WORDS), model(WORDS))


def test_a_functional_model(tf_keras, tmp_path):
    model, x = legacy_cases.encoder_decoder(tf_keras)
    randomized(model).save_weights(tmp_path / "weights.h5")
    (tmp_path / "model.json").write_text(model.to_json())
    loaded = load_legacy_model(
        tmp_path / "weights.h5", architecture=tmp_path / "model.json"
    )
    assert_close(loaded(x), model(x))


def _tuples(value):
    """Returns JSON with tuples, as Keras encoded them before it wrote YAML."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    if isinstance(value, list) and all(isinstance(x, int | None) for x in value):
        return tuple(value)
    return [_tuples(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("model.yaml", lambda text: yaml.dump(_tuples(json.loads(text)))),
        ("model.yml", lambda text: text),
        ("model.json", json.dumps),  # double-encoded JSON
    ],
)
def test_other_encodings(separate_files, tmp_path, name, write):
    model, weights, architecture = separate_files
    path = tmp_path / name
    text = write(architecture.read_text())
    assert "python/tuple" in text or name != "model.yaml"
    path.write_text(text)
    assert_close(load_legacy_model(weights, architecture=path)(WORDS), model(WORDS))


_BOMB = "a0: &a0 [1]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("model.json", "", "not JSON"),
        ("model.json", '"{', "not JSON"),
        ("model.json", '"x"', "not JSON"),
        ("model.json", "[]", "must be a JSON object"),
        ("model.json", "{}", "class_name"),
        ("model.yaml", "a: [", "not YAML"),
        ("model.yaml", "a: !!python/object/apply:os.system [true]", "not YAML"),
        ("model.yaml", "a: &a [*a]", "more than"),
        ("model.yaml", _BOMB, "more than"),
        ("model.yaml", "a: " + "1:1" * 1000, "digits"),
    ],
)
def test_files_that_are_not_architectures(separate_files, tmp_path, name, text, word):
    _, weights, _ = separate_files
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(LegacyModelError) as caught:
        load_legacy_model(weights, architecture=path)
    assert str(path) in str(caught.value)
    assert word in str(caught.value)


def test_weights_of_another_model(tf_keras, separate_files):
    _, weights, architecture = separate_files
    options = {"architecture": architecture}
    architecture.write_text(build(tf_keras, units=5).to_json())
    words = "(GRUCell)", "(4, 15)", "(4, 9)", str(architecture)
    refuses(weights, *words, **options)

    def names_of(model):
        return [layer.name for layer in model.layers if layer.get_weights()]

    model = tf_keras.Sequential(build(tf_keras).layers[:-1])
    architecture.write_text(model.to_json())
    refuses(weights, "has 3 layers", "has 4", *names_of(model), **options)
    other = build(tf_keras)
    other.layers[-1].use_bias = False
    architecture.write_text(other.to_json())
    refuses(weights, "(Dense) has 1 arrays", "holds 2", **options)
    architecture.write_text(
        json.dumps({**json.loads(other.to_json()), "keras_version": "1.2.2"})
    )
    refuses(weights, "1.2.2", "2.", **options)


def test_weights_without_their_architecture(separate_files):
    _, weights, _ = separate_files
    refuses(weights, "weights alone", "architecture=", "--architecture", "to_json")


def test_a_file_without_layers(separate_files, tmp_path):
    model, _, architecture = separate_files
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.ones(3)
    refuses(tmp_path / "other.h5", "lacks layer_names", architecture=architecture)
    model.save_weights(tmp_path / "new.weights.h5")
    refuses(tmp_path / "new.weights.h5", ".weights.h5", architecture=architecture)


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"path": None}, "path"),
        ({"path": ""}, "path"),
        ({"path": 3}, "path"),
        ({"custom_objects": "x"}, "custom_objects"),
        ({"custom_objects": {"x": 3}}, "custom_objects"),
        ({"custom_objects": {3: dict}}, "custom_objects"),
        ({"architecture": 3}, "architecture"),
        ({"path": "model.keras"}, "architecture"),
        ({"path": "."}, "architecture"),
    ],
)
def test_arguments(separate_files, options, argument):
    _, weights, architecture = separate_files
    options = {"path": weights, "architecture": architecture, **options}
    with pytest.raises(ValueError, match=f"^{argument} must be .*; received: "):
        load_legacy_model(**options)


def test_a_missing_file(separate_files, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.json"):
        load_legacy_model(separate_files[1], architecture=tmp_path / "nothing.json")


def test_the_command_line(separate_files, call, tmp_path):
    model, weights, architecture = separate_files
    target = tmp_path / "model.keras"
    code, out, err = call("convert", weights, target, "--architecture", architecture)
    assert code == 0, err
    assert "loaded again, it is the same" in out
    assert_close(keras.models.load_model(target)(WORDS), model(WORDS))
    code, _, err = call("convert", weights, "w.npz", "--architecture", architecture)
    assert (code, "--architecture" in err) == (2, True)


def write_config(path, text):
    """Writes a file that holds only a config, of any length."""
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["keras_version"] = "2.2.4"
        file.attrs["model_config"] = text
        file.create_group("model_weights").attrs["layer_names"] = []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "not JSON"),
        ("[1]", "must be a JSON object"),
        ("[" * 200_000, "not JSON"),
        ("{}", "class_name"),
        ('{"class_name": "Sequential", "config": {"layers": []}}', "no layers"),
        ('{"class_name": "Sequential", "config": {"layers": 3}}', "layers"),
        ('{"class_name": "GRU", "config": {"name": "one"}}', "'one' (GRU) is no"),
    ],
)
def test_files_whose_config_is_invalid(tmp_path, text, word):
    write_config(tmp_path / "model.h5", text)
    refuses(tmp_path / "model.h5", word)


@pytest.mark.parametrize("depth", [20, 200, 900])
def test_a_deeply_nested_config(tmp_path, depth):
    begin = '{"class_name": "TimeDistributed", "config": {"layer": '
    layer = begin * depth + '{"class_name": "Lambda", "config": {}}' + "}}" * depth
    text = f'{{"class_name": "Sequential", "config": [{layer}]}}'
    write_config(tmp_path / "model.h5", text)
    refuses(tmp_path / "model.h5")
