import contextlib
import csv
import itertools
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tf_gru_addon import native
from tf_gru_addon.config import load_config, parse_config
from tf_gru_addon.datasets import DataError
from tf_gru_addon.training import RunError, WorkdirError, evaluate, train

DEMO = Path(__file__).parents[2] / "configs" / "japanese_vowels.yaml"
#: A model with every source of random numbers, and with untrained state.
LAYERS = [
    {"GaussianNoise": {"stddev": 0.1}},
    {
        "GRU": {
            "units": 3,
            "dropout": 0.2,
            "recurrent_dropout": 0.2,
            "return_sequences": True,
        }
    },
    {
        "RNN": {
            "cell": {"GRUCell": {"units": 3, "dropout": 0.2, "recurrent_dropout": 0.2}}
        }
    },
    "BatchNormalization",
    {"Dense": {"units": 3}},
]
SMALL = [{"GRU": {"units": 2, "dropout": 0.1}}, {"Dense": {"units": 3}}]


def state(path):
    with np.load(path / "resume.npz") as file:
        return {key: file[key] for key in file if key != "progress"}


def assert_same_state(one, two):
    one, two = state(one), state(two)
    assert one.keys() == two.keys()
    for key in one:
        np.testing.assert_array_equal(one[key], two[key], err_msg=key)


def test_everything_is_written(run):
    assert {file.name for file in run[0].iterdir()} == {
        *("config.yaml", "history.csv", "metrics.json", "model.keras", "resume.npz"),
        *("saved_model", "tensorboard", "training.png"),
    }


def test_the_config_as_resolved(run, run_config):
    assert load_config(run[0] / "config.yaml") == run_config


def test_metrics(run):
    path, metrics = run
    assert json.loads((path / "metrics.json").read_text()) == metrics
    assert metrics["epochs"] == 8
    assert metrics["parameters"] == 2 * (3 * 4 * (2 + 4 + 2)) + 3 * (2 * 4 + 1)
    sizes = {name: part["sequences"] for name, part in metrics["parts"].items()}
    assert sizes == {"train": 18, "validation": 6, "test": 10}
    assert metrics["parts"]["train"]["accuracy"] > 0.5
    assert metrics["saved_model"]["max_difference"] < 1e-5
    assert metrics["files"]["model.keras"] == (path / "model.keras").stat().st_size


def test_history(run):
    with open(run[0] / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == [str(i) for i in range(1, 9)]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} < set(rows[0])


def test_tensorboard(run):
    events = EventAccumulator(str(run[0] / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    assert [event.step for event in events.Tensors("val_loss")] == list(range(1, 9))


@pytest.fixture
def before_epoch(monkeypatch):
    """Runs an action before, or instead of, the n-th call of `fit`."""

    def before(number, action):
        fit, calls = keras.Model.fit, itertools.count(1)

        def spied(*arguments, **options):
            instead = action() if next(calls) == number else None
            return instead or fit(*arguments, **options)

        monkeypatch.setattr(keras.Model, "fit", spied)

    return before


def interrupt():
    raise KeyboardInterrupt


def test_a_finished_run_is_not_trained_again(run, run_config, before_epoch):
    before_epoch(1, interrupt)
    assert train(run_config, run[0], resume=True) == run[1]


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, make_config):
    """Bit for bit, within one process; `resume_test.py` kills processes."""
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    train(make_config(LAYERS, epochs=2), whole)
    train(make_config(LAYERS, epochs=1), halves)
    keras.utils.set_random_seed(99)  # the process's own random state does not matter
    metrics = train(make_config(LAYERS, epochs=2), halves, resume=True)
    assert_same_state(whole, halves)
    assert metrics["epochs"] == 2
    assert len((halves / "history.csv").read_text().split()) == 3


def test_a_resumed_run_under_a_schedule(tmp_path, make_config, before_epoch):
    config = make_config(SMALL, epochs=3, learning_rate_schedule="cosine")
    train(config, tmp_path / "whole")
    before_epoch(3, interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "halves")
    train(config, tmp_path / "halves", resume=True)
    assert_same_state(tmp_path / "whole", tmp_path / "halves")


def test_the_seed_determines_everything(tmp_path, make_config):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        keras.utils.set_random_seed(len(name))
        train(make_config(SMALL, epochs=1, seed=seed), tmp_path / name)
    assert_same_state(tmp_path / "a", tmp_path / "b")
    one, other = state(tmp_path / "a"), state(tmp_path / "c")
    assert not np.array_equal(one["model/0000"], other["model/0000"])


def test_fewer_epochs_than_are_done(run, make_config):
    config = make_config(epochs=3, validation_fraction=0.25, formats=["saved_model"])
    with pytest.raises(WorkdirError, match="the run has done 8 epochs"):
        train(config, run[0], resume=True)


def test_a_loss_that_is_not_finite(tmp_path, make_config):
    config = make_config(SMALL)
    config.optimizer["Adam"]["learning_rate"] = 1e38
    with pytest.raises(
        RunError, match=r"the loss is (nan|inf) in epoch 1\. Lower .* the same --workd"
    ):
        train(config, tmp_path / "mine")
    config = make_config(SMALL, epochs=1)
    assert train(config, tmp_path / "mine")["epochs"] == 1  # without --resume
    assert load_config(tmp_path / "mine" / "config.yaml") == config


def test_a_loss_that_is_not_finite_later(tmp_path, make_config, before_epoch):
    before_epoch(2, lambda: SimpleNamespace(history={"loss": [math.nan]}))
    message = r"the loss is nan in epoch 2\. Lower .* Use another --workdir"
    with pytest.raises(RunError, match=message):
        train(make_config(SMALL, epochs=2), tmp_path / "mine")


def test_a_failed_model_does_not_block_the_folder(tmp_path, make_config):
    constraint = {"kernel_constraint": {"max_norm": {"axis": 5}}}
    config = make_config([{"GRU": {"units": 2} | constraint}, {"Dense": {"units": 3}}])
    with pytest.raises(RunError, match=r"^epoch 1 cannot be trained: .") as caught:
        train(config, tmp_path / "mine")
    assert "\n" not in str(caught.value)
    assert "Correct the config. No epoch is finished, so" in str(caught.value)
    config = make_config(SMALL, epochs=1)
    assert train(config, tmp_path / "mine", resume=True)["epochs"] == 1
    assert load_config(tmp_path / "mine" / "config.yaml") == config


def test_destroyed_files_are_written_again(tmp_path, make_config):
    config = make_config(SMALL, epochs=1, formats=["saved_model"])
    metrics = train(config, tmp_path)
    files = tmp_path / "saved_model" / "saved_model.pb", tmp_path / "metrics.json"
    for file in files:
        file.write_bytes(file.read_bytes()[:50])
    again = train(config, tmp_path, resume=True)
    assert all(file.stat().st_size > 50 for file in files)
    assert again["parts"] == metrics["parts"]


def test_a_folder_that_is_replaced(tmp_path, make_config, before_epoch):
    path = tmp_path / "mine"

    def replace():
        path.rename(tmp_path / "moved")
        path.mkdir()

    before_epoch(2, replace)
    with pytest.raises(RunError, match=r"mine: the folder, or \S+lock in it, was "):
        train(make_config(SMALL), path)
    assert not list(path.iterdir())
    assert train(make_config(SMALL), tmp_path / "moved", resume=True)["epochs"] == 2


@pytest.mark.parametrize("with_data", [True, False])
def test_a_moved_run(tmp_path, make_config, data_file, with_data):
    """Its data is found by the relative or the absolute path."""
    (tmp_path / "a" / "data").mkdir(parents=True)
    path = tmp_path / "a" / "data" / "mine.npz"
    path.write_bytes(data_file.read_bytes())
    content = make_config(SMALL, epochs=1).model_dump()
    content["data"] |= {"train": str(path), "test": str(path)}
    metrics = train(parse_config(content), tmp_path / "a" / "runs" / "mine")
    if with_data:
        (tmp_path / "a").rename(tmp_path / "b")
        moved = tmp_path / "b" / "runs" / "mine"
    else:
        moved = tmp_path / "mine"
        (tmp_path / "a" / "runs" / "mine").rename(moved)
    test = evaluate(moved)["parts"]["test"]
    assert test == pytest.approx(metrics["parts"]["test"])
    config = load_config(moved / "config.yaml", ["training.epochs=2"])
    assert train(config, moved, resume=True)["epochs"] == 2


@pytest.mark.parametrize(
    ("config", "arguments", "message"),
    [
        (None, {}, "config: expected what `load_config` returns; got None"),
        ("a.yaml", {}, "config: expected what `load_config` returns; got 'a.yaml'"),
        (..., {"workdir": None}, "workdir must be a path"),
        (..., {"workdir": ""}, "workdir must be a path"),
        (..., {"resume": "yes"}, "resume must be True or False; received: 'yes'"),
    ],
)
def test_wrong_arguments(tmp_path, make_config, config, arguments, message):
    config = make_config() if config is ... else config
    with pytest.raises(ValueError, match=re.escape(message)):
        train(config, **{"workdir": tmp_path} | arguments)
    assert not list(tmp_path.iterdir())


def test_a_tolerance_that_was_too_strict(tmp_path, make_config):
    content = make_config(SMALL, formats=["saved_model"]).model_dump()
    content["export"]["tolerance"] = 1e-300
    strict = parse_config(content)
    with contextlib.suppress(RunError):  # unless the numbers happen to be the same
        train(strict, tmp_path)
    content["export"]["tolerance"] = 1e-4
    metrics = train(parse_config(content), tmp_path, resume=True)
    assert metrics["saved_model"]["tolerance"] == 1e-4


def test_other_data_is_refused(tmp_path, make_config, data_file):
    path = tmp_path / "mine.npz"
    with np.load(data_file) as file:
        arrays = dict(file)
    content = make_config(SMALL, epochs=1).model_dump()
    content["data"] |= {"train": str(path), "test": str(path)}
    np.savez(path, **arrays)
    train(parse_config(content), tmp_path / "run")
    content["training"]["epochs"] = 2
    for name in ("train_frames", "train_labels", "test_frames"):
        np.savez(path, **arrays | {name: arrays[name][::-1]})
        with pytest.raises(WorkdirError, match="data has changed since the run began"):
            train(parse_config(content), tmp_path / "run", resume=True)


def test_an_error_in_the_data_leaves_no_folder(tmp_path, make_config):
    config = make_config([{"GRU": {"units": 2}}, {"Dense": {"units": 2}}])
    with pytest.raises(DataError, match=r"train data: labels must be in 0\.\.1, as"):
        train(config, tmp_path / "mine")
    content = make_config().model_dump()
    content["model"]["features"] = 5
    with pytest.raises(DataError, match=re.escape("Set `model.features` to 2")):
        train(parse_config(content), tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_no_export_unless_requested(tmp_path, make_config):
    metrics = train(make_config(SMALL, epochs=1), tmp_path)
    assert "saved_model" not in metrics
    assert not (tmp_path / "saved_model").exists()


def test_configs_say_how_to_run_them():
    for path in (Path(__file__).parents[2] / "configs").glob("*.yaml"):
        command = f"python -m tf_gru_addon train --config configs/{path.name} --workdir"
        assert command in path.read_text()


def test_the_demo_uses_the_native_engine_by_default(ran, tmp_path):
    """Its config names no engine; its export holds only the portable one."""
    if not native.status().available:
        pytest.skip(native.status().reason)
    config = load_config(DEMO, ["training.epochs=1"])
    assert "engine" not in DEMO.read_text("utf-8")
    train(config, tmp_path)
    # Training, exporting, and comparing with the export.
    assert [name for name, _ in itertools.groupby(ran)] == [
        *("native", "portable", "native")
    ]
    # Two layers, two directions, in the training and evaluation functions.
    assert ran.index("portable") >= 8
    assert ran.count("portable") >= 4
    text = (tmp_path / "saved_model" / "saved_model.pb").read_bytes()
    assert b"TfGruAddon" not in text
