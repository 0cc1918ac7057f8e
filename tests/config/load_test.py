import math
import os
import re

import pytest
import yaml

from tf_gru_addon.config import (
    ConfigError,
    load_config,
    parse_config,
    save_config,
)

CONFIG = """
data: {dataset: japanese_vowels}
model:
  features: 12
  layers:
    - Bidirectional: {layer: {GRU: {units: 4, kernel_regularizer: {l2: {l2: 1e-4}}}}}
    - RNN: {cell: {StackedRNNCells: {cells: [{GRUCell: {units: 3}}, LSTMCell]}}}
    - Dense: {units: 9, activation: softmax}
training: {epochs: 2}
""".replace("LSTMCell", "{LSTMCell: {units: 3}}")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(CONFIG)
    return path


def test_defaults_are_filled_in(path):
    config = load_config(path)
    assert config.training.batch_size == 32
    assert config.optimizer == {"Adam": {}}
    assert config.export.formats == ["saved_model"]
    assert config.model.layers[2] == {"Dense": {"units": 9, "activation": "softmax"}}


def test_a_saved_config_loads_as_it_was(path, tmp_path):
    config = load_config(path)
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(tmp_path / "saved.yaml") == config


def test_a_bare_name_means_no_arguments():
    layers = ["LayerNormalization", {"GRU": {"units": 2}}, {"BatchNormalization": None}]
    content = {
        "data": {"dataset": "japanese_vowels"},
        "model": {"features": 12, "layers": layers},
        "optimizer": "SGD",
        "training": {"epochs": 1},
    }
    config = parse_config(content)
    assert config.model.layers[0] == {"LayerNormalization": {}}
    assert config.model.layers[2] == {"BatchNormalization": {}}
    assert config.optimizer == {"SGD": {}}


def test_a_path_is_relative_to_the_config_or_the_current_directory(
    path, tmp_path, monkeypatch
):
    here, elsewhere = path.parent, tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    override = "data={train: a.npz, test: [b.csv, /no/b.csv, c.csv]}"

    def found():
        data = load_config(os.path.relpath(path), [override]).data
        return [data.train, data.test]

    assert found() == [str(here / "a.npz"), str(here / "b.csv")]  # nothing is there
    for name in ("a.npz", "c.csv"):
        (elsewhere / name).write_text("")
    assert found() == [str(elsewhere / "a.npz"), str(elsewhere / "c.csv")]
    for name in ("a.npz", "b.csv"):
        (here / name).write_text("")
    assert found() == [str(here / "a.npz"), str(here / "b.csv")]


@pytest.mark.parametrize("exist", [True, False])
def test_paths_are_saved_in_both_forms(path, tmp_path, exist):
    config = load_config(path, ["data={train: a.npz, test: b.csv}"])
    (tmp_path / "runs").mkdir()
    saved = tmp_path / "runs" / "saved.yaml"
    save_config(config, saved)
    for name in ("a.npz", "b.csv") if exist else ():
        (tmp_path / name).write_text("")
    assert load_config(saved) == config
    paths = yaml.safe_load(saved.read_text())["data"]["train"]
    assert paths == ["../a.npz", str(tmp_path / "a.npz")]


@pytest.mark.parametrize("value", ["3", "[]", "''", "[3]", "{a: b}", "['']", "true"])
def test_other_values_are_not_paths(path, value):
    message = "data.train: expected a path, or a list of paths; got "
    with pytest.raises(ConfigError, match=message):
        load_config(path, ["data.dataset=null", "data.test=a", f"data.train={value}"])


@pytest.mark.parametrize(
    ("overrides", "start"),
    [
        ([], "{path}: training.epochs: expected a whole"),
        (["training.seed=3"], "{path}: training.epochs: expected a whole"),
        (
            ["training.seed=3", "training.epochs=five"],
            "{path} with --set 'training.epochs=five': training.epochs: expected a wh",
        ),
        (["training={epochs: a}"], "{path} with --set 'training={epochs: a}': trainin"),
        (["training.epochs"], "{path} with --set 'training.epochs': training.epochs:"),
        (
            ["training.epochs=2", "model.layers.0=GUR"],
            "{path} with --set 'model.layers.0=GUR': model.layers[0]: a config cannot",
        ),
        (["model.layers[7]=GRU"], "{path} with --set 'model.layers[7]=GRU': model.lay"),
        (
            ["training.epochs=2", "modle.layers=[]"],
            "{path} with --set 'modle.layers=[]': modle: there is no such key",
        ),
    ],
)
def test_an_error_names_the_file_and_the_override(path, overrides, start):
    path.write_text(CONFIG.replace("epochs: 2", "epochs: two"))
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    assert str(caught.value).startswith(start.replace("{path}", str(path)))


@pytest.mark.parametrize(
    "overrides",
    [[3], [None], [["training.epochs=3"]], "training.epochs=3", b"a=b", 3, None],
)
def test_overrides_must_be_strings(path, overrides):
    message = r"overrides: expected a list of texts such as 'training\.epochs=5'; got"
    with pytest.raises(ConfigError, match=message):
        load_config(path, overrides)


@pytest.mark.parametrize("path", [None, 3, "", b"a.yaml", "a\0b", ["a.yaml"]])
def test_a_path_must_be_a_path(path):
    with pytest.raises(ValueError, match="path must be a path"):
        load_config(path)


def test_the_last_override_wins(path):
    overrides = ["training.epochs=7", "training.epochs=8"]
    assert load_config(path, overrides).training.epochs == 8


@pytest.mark.parametrize(
    ("override", "message"),
    [
        # Keys of sections.
        (
            "training.epohcs=5",
            "training.epohcs: there is no such key. Did you mean 'epoc",
        ),
        (
            "trainign.epochs=5",
            "trainign: there is no such key. Did you mean 'training'",
        ),
        ("data.datset=x", "data.datset: there is no such key. Did you mean 'dataset'?"),
        (
            "export.format=x",
            "export.format: there is no such key. Did you mean 'formats",
        ),
        # Types and ranges of values.
        (
            "training.epochs=five",
            "training.epochs: expected a whole number; got 'five'",
        ),
        (
            "training.epochs='5'",
            "training.epochs: expected a whole number; got '5' (str)",
        ),
        (
            "training.epochs=2.5",
            "training.epochs: expected a whole number; got 2.5 (flo",
        ),
        ("training.epochs=true", "expected a whole number; got True (bool)"),
        (
            "training.batch_size=100000000000000000000",
            "expected less than 2147483648; g",
        ),
        ("training.epochs=0x80000000", "training.epochs: expected less than 214748"),
        (
            "data.padding_value=1e300",
            "data.padding_value: expected a number that float32 holds, to 3.4e+38 eith",
        ),
        ("training.epochs=0", "expected greater than or equal to 1; got 0 (int)"),
        ("training.validation_fraction=1", "expected less than 1; got 1 (int)"),
        ("training.validation_fraction=.nan", "expected a finite number; got nan"),
        ("training.seed=-1", "expected greater than or equal to 0; got -1"),
        ("training=5", "training: expected keys and values; got 5 (int)"),
        ("training={batch_size: 3}", "training.epochs: missing"),
        (
            "model.layers=[]",
            "model.layers: expected a list with at least 1 entry; got []",
        ),
        ("model.layers=GRU", "model.layers: expected a list; got 'GRU' (str)"),
        ("data.dataset=cifar", "data.dataset: expected 'japanese_vowels'; got 'cifar'"),
        (
            "data.dataset=null",
            "data: expected either `dataset`, or both `train` and `te",
        ),
        ("data.train=a.npz", "got dataset, train"),
        ("data={train: a.npz}", "got train"),
        (
            "export.formats=[onxx]",
            "export.formats[0]: expected 'saved_model'; got 'onxx'",
        ),
        (
            "model.layers[0]={Dense: {units: 3, activation: softmax}}",
            "model.layers[0].Dense.activation: only the last layer's activation may be",
        ),
        (
            "model.layers[1].RNN.cell.StackedRNNCells.cells[0].GRUCell.activation="
            "softmax",
            "model.layers[1].RNN.cell.StackedRNNCells.cells[0].GRUCell.activation: on",
        ),
        # Layers, their arguments, and nested layers.
        (
            "model.layers[0]={Gru: {}}",
            "model.layers[0]: a config cannot name the layer 'Gru'",
        ),
        ("model.layers[0]={Gru: {}}", "Did you mean 'GRU'?"),
        ("model.layers[0]={Biderectional: {}}", "Did you mean 'Bidirectional'?"),
        ("model.layers[0]=3", "model.layers[0]: expected one layer, as `Name` or"),
        (
            "model.layers[0]={GRU: {units: 3}, Dense: {}}",
            "expected one layer, as `Name`",
        ),
        ("model.layers[0]={GRU: 3}", "model.layers[0].GRU: expected arguments, as"),
        (
            "model.layers[0]={GRU: {unit: 3}}",
            "model.layers[0].GRU.unit: GRU has no such",
        ),
        ("model.layers[0]={GRU: {unit: 3}}", "Did you mean 'units'?"),
        (
            "model.layers[0]={GRU: {}}",
            "model.layers[0].GRU.units: missing; GRU needs it",
        ),
        (
            "model.layers[0]={GRU: {units: 0}}",
            "units: expected a whole number from 1 to 2147483647; g",
        ),
        (
            "model.layers[0]={GRU: {units: a}}",
            "units: expected a whole number from 1 to 2147483647; g",
        ),
        (
            "model.layers[0]={GRU: {units: 2, seed: 10000000000000}}",
            "seed: expected a whole number from 0 to 2147483647; got 10000000000000",
        ),
        (
            "model.layers[0]={GRU: {units: 2, kernel_regularizer: {l2: {l2: 1e39}}}}",
            "l2.l2: expected a number that float32 holds; got 1e+39",
        ),
        ("model.layers[0]={GRU: {units: null}}", "got None (NoneType)"),
        (
            "model.layers[0]={GRU: {units: 2, dropout: 2}}",
            "a number from 0 to 1; got 2",
        ),
        (
            "model.layers[0]={GRU: {units: 2, unroll: 1}}",
            "expected true or false; got 1",
        ),
        ("model.layers[0]={GRU: {units: 2, activation: tahn}}", "Did you mean 'tanh'?"),
        (
            "model.layers[0]={GRU: {units: 2, kernel_initializer: glorot_unifrom}}",
            "model.layers[0].GRU.kernel_initializer: a config cannot name the init",
        ),
        (
            "model.layers[0]={GRU: {units: 2, kernel_regularizer: {l2: {l: 1}}}}",
            "model.layers[0].GRU.kernel_regularizer.l2.l: l2 has no such argument here",
        ),
        (
            "model.layers[1]={RNN: {cell: {GRUCel: {units: 2}}}}",
            "model.layers[1].RNN.cell: a config cannot name the cell 'GRUCel'",
        ),
        (
            "model.layers[1]={RNN: {cell: {StackedRNNCells: {cells: [Dense]}}}}",
            "model.layers[1].RNN.cell.StackedRNNCells.cells[0]: a config cannot name",
        ),
        (
            "model.layers[1]={RNN: {cell: {StackedRNNCells: {cells: []}}}}",
            "model.layers[1].RNN.cell.StackedRNNCells.cells: expected a list with",
        ),
        ("model.layers[0].Bidirectional.merge_mode=cat", "Did you mean 'concat'?"),
        ("model.layers[0]=Masking", "Every model already begins with it, for"),
        (
            "optimizer={Adma: {}}",
            "optimizer: a config cannot name the optimizer 'Adma'",
        ),
        ("optimizer={Adamm: {}}", "Did you mean 'Adam'?"),
        ("optimizer={Adam: {lr: 0.1}}", "optimizer.Adam.lr: Adam has no such argument"),
        (
            "optimizer={Adam: {learning_rate: a}}",
            "learning_rate: expected a number that float32 holds; got",
        ),
    ],
)
def test_a_mistake_is_reported(path, override, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_config(path, [override])


def test_all_problems_are_reported_at_once(path):
    overrides = ["training.epohcs=5", "model.features=a", "optimizer={Adma: {}}"]
    with pytest.raises(ConfigError, match="3 problems") as caught:
        load_config(path, overrides)
    message = str(caught.value)
    assert message.startswith(str(path))
    for part in ("training.epohcs: ", "model.features: ", "optimizer: a config"):
        assert f"\n  {part}" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected keys and values; got None"),
        ("- 1", "expected keys and values; got [1] (list)"),
        ("a: [", "not valid YAML"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is given twice"),
        ("training: {epochs: 1, epochs: 2}", "line 1: the key 'epochs' is given twice"),
        ("1: 2", "line 1: expected text as a key; got 1 (int)"),
        ("on: 2", "expected text as a key; got True (bool)"),
        ("[a]: 2", "expected text as a key"),
        ("a: &a [*a]", "aliases (*a) and anchors (&a) are not supported"),
        ("a: b: c", "mapping values are not allowed here"),
        ("a: \x07", "special characters are not allowed"),
    ],
)
def test_bad_file(path, content, message):
    path.write_text(content)
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load_config(path)
    assert str(caught.value).startswith(str(path))


def test_nested_too_deep(path):
    path.write_text("a: " + "[" * 5000)
    with pytest.raises(ConfigError, match="nested too deeply"):
        load_config(path)


def test_a_file_that_is_not_text(path):
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not a text file in UTF-8"):
        load_config(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        load_config(tmp_path / "mine.yaml")


@pytest.mark.parametrize("text", ["3e-3", "3.0e-3", "0.003", "+3e-3", "3E-3"])
def test_numbers_in_every_usual_notation(path, text):
    config = load_config(path, [f"optimizer={{Adam: {{learning_rate: {text}}}}}"])
    assert math.isclose(config.optimizer["Adam"]["learning_rate"], 0.003)


def test_a_folder(tmp_path):
    with pytest.raises(ConfigError, match="expected a regular file; this is a folder"):
        load_config(tmp_path)
