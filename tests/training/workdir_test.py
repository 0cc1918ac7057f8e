import json
import os
import re

import pytest

from tf_gru_addon.config import parse_config
from tf_gru_addon.training import RunError, WorkdirError
from tf_gru_addon.training.workdir import Workdir


def tree(path):
    """Returns the contents of a folder, to check that nothing changed."""
    return {
        file.relative_to(path): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in path.rglob("*")
        if file.is_file()
    }


def started(path, config):
    place = Workdir(path)
    place.check(config, resume=False)
    with place.locked():
        place.begin(config)
    return place


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("resume", [False, True])
def test_a_new_run(tmp_path, make_config, exists, resume):
    path = tmp_path / "runs" / "mine"
    if exists:
        path.mkdir(parents=True)
    place = Workdir(path)
    place.check(make_config(), resume=resume)
    with place.locked():
        place.begin(make_config())
    assert os.listdir(path) == ["config.yaml"]


def test_a_folder_that_is_not_empty_is_refused(tmp_path, make_config):
    (tmp_path / "thesis.tex").write_text("")
    before = tree(tmp_path)
    with pytest.raises(
        WorkdirError, match=r"not empty\. Resume .* with --resume, or choos"
    ):
        Workdir(tmp_path).check(make_config(), resume=False)
    with pytest.raises(
        WorkdirError, match=r"no run to resume: config\.yaml is missing"
    ):
        Workdir(tmp_path).check(make_config(), resume=True)
    assert tree(tmp_path) == before


def test_a_run_is_not_overwritten(tmp_path, make_config):
    started(tmp_path, make_config())
    before = tree(tmp_path)
    with pytest.raises(WorkdirError, match="the folder is not empty"):
        Workdir(tmp_path).check(make_config(), resume=False)
    Workdir(tmp_path).check(make_config(), resume=True)
    assert tree(tmp_path) == before


def test_killed_before_the_config_was_written(tmp_path, make_config):
    (tmp_path / ".unfinished-config.yaml").write_text("da")
    (tmp_path / ".unfinished-.unfinished-saved_model" / "variables").mkdir(parents=True)
    Workdir(tmp_path).check(make_config(), resume=True)
    Workdir(tmp_path).begin(make_config())
    assert os.listdir(tmp_path) == ["config.yaml"]


def test_a_file_is_not_a_folder(tmp_path, make_config):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(WorkdirError, match="expected a folder; this is a file"):
        Workdir(path).check(make_config(), resume=True)


def test_a_folder_that_cannot_be_created(tmp_path, make_config):
    (tmp_path / "file").write_text("")
    place = Workdir(tmp_path / "file" / "mine")
    place.check(make_config(), resume=False)
    message = r"mine: cannot be written \(.*Not a directory"
    with pytest.raises(RunError, match=message), place.locked():
        pass


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 3}, "training.batch_size: 7 in the run, 3 now"),
        ({"seed": 1}, "training.seed: 0 in the run, 1 now"),
        (
            {"validation_fraction": 0.5},
            "training.validation_fraction: 0.0 in the run, 0.",
        ),
        (
            {"layers": [{"GRU": {"units": 5}}, {"Dense": {"units": 3}}]},
            "model.layers[0].GRU.units: nothing in the run, 5 now",
        ),
    ],
)
def test_another_config_is_refused(tmp_path, make_config, change, message):
    place = started(tmp_path, make_config())
    place.state.write_text("")
    before = tree(tmp_path)
    with pytest.raises(
        WorkdirError, match=r"They differ in:[^$]*" + re.escape(message)
    ):
        place.check(make_config(**change), resume=True)
    assert tree(tmp_path) == before


def test_more_epochs_are_accepted(tmp_path, make_config):
    place = started(tmp_path, make_config())
    place.state.write_text("")
    place.check(make_config(epochs=9), resume=True)


def test_another_export_is_accepted(tmp_path, make_config):
    place = started(tmp_path, make_config(formats=["saved_model"]))
    place.state.write_text("")
    place.check(make_config(), resume=True)


def test_any_config_is_accepted_before_training(tmp_path, make_config):
    started(tmp_path, make_config()).check(make_config(seed=3), resume=True)


def test_a_run_without_a_finished_epoch_starts_again(tmp_path, make_config):
    place = started(tmp_path, make_config())
    place.tensorboard.mkdir()
    place.check(make_config(seed=3), resume=False)
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(WorkdirError, match="the folder is not empty"):
        place.check(make_config(seed=3), resume=False)


def test_data_at_another_path_is_accepted(tmp_path, make_config):
    place = started(tmp_path, make_config())
    place.state.write_text("")
    content = make_config().model_dump()
    content["data"] |= {"train": "a.npz", "test": "b.npz"}
    place.check(parse_config(content), resume=True)


def test_more_epochs_under_a_schedule_are_refused(tmp_path, make_config):
    cosine = {"learning_rate_schedule": "cosine"}
    place = started(tmp_path, make_config(**cosine))
    place.state.write_text("")
    with pytest.raises(WorkdirError, match=r"training\.epochs: 2 in the run, 9 now"):
        place.check(make_config(**cosine, epochs=9), resume=True)


METRICS = {
    "epochs": 3,
    "seconds": 1.5,
    "parameters": 99,
    "parts": {"test": {"sequences": 10, "loss": 0.5, "accuracy": 0.75}},
    "files": {"model.keras": 4},
}
PARITY = {"saved_model": {"max_difference": 1e-7, "tolerance": 1e-5}}


@pytest.fixture
def finished(tmp_path):
    place = Workdir(tmp_path)
    outputs = [place.model, place.history, place.plot, place.saved_model]
    place.saved_model.mkdir()
    for file in (*outputs[:3], place.saved_model / "saved_model.pb"):
        file.write_text("some")
    place.write_metrics(METRICS | PARITY, outputs)
    return place


@pytest.fixture
def both(make_config):
    """The config of the finished run."""
    return make_config(epochs=3, formats=["saved_model"])


def test_finished(finished, both, make_config):
    assert finished.finished(both) == json.loads(finished.metrics.read_text())
    assert finished.finished(make_config(epochs=4, formats=["saved_model"])) is None
    assert finished.finished(make_config(epochs=3)) is None
    outputs = [finished.model, finished.history, finished.plot]
    finished.write_metrics(METRICS.copy(), outputs)
    assert finished.finished(make_config(epochs=3)).items() >= METRICS.items()
    assert finished.finished(both) is None


@pytest.mark.parametrize(
    "name", ["model.keras", "saved_model", "training.png", "history.csv"]
)
def test_not_finished_if_a_file_was_removed(finished, make_config, name):
    (finished.path / name).rename(finished.path / "elsewhere")
    assert finished.finished(make_config(epochs=3, formats=["saved_model"])) is None


@pytest.mark.parametrize(
    "name", ["model.keras", "saved_model/saved_model.pb", "training.png", "history.csv"]
)
@pytest.mark.parametrize("content", ["", "so", "none"])
def test_not_finished_if_a_file_was_destroyed(finished, both, name, content):
    (finished.path / name).write_text(content)
    assert finished.finished(both) is None


def test_not_finished_if_a_folder_lacks_a_file(finished, both):
    (finished.saved_model / "saved_model.pb").rename(finished.saved_model / "other")
    assert finished.finished(both) is None


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b'{"epochs": 3, "par', b"[]", b"{}", b"\xff", b"3", b"[" * 99999),
        b'{"epochs": 3, "saved_model": {"tolerance": 1e-5}}',
    ],
)
def test_not_finished_if_the_metrics_are_damaged(finished, both, content):
    finished.metrics.write_bytes(content)
    assert finished.finished(both) is None


@pytest.mark.parametrize("key", [*METRICS, "digests", "saved_model"])
@pytest.mark.parametrize("value", [None, "3", [], {"test": {"loss": 1}}, ...])
def test_not_finished_if_the_metrics_hold_something_else(finished, both, key, value):
    content = json.loads(finished.metrics.read_text())
    if value is ...:
        del content[key]
    else:
        content[key] = value
    finished.metrics.write_text(json.dumps(content))
    assert finished.finished(both) is None


def test_history(tmp_path):
    place = Workdir(tmp_path)
    place.write_history([{"loss": 0.5, "accuracy": 0.25}, {"loss": 0.1, "accuracy": 1}])
    assert place.history.read_text().split() == [
        "epoch,loss,accuracy",
        "1,0.5,0.25",
        "2,0.1,1",
    ]


def test_no_trained_model(tmp_path, make_config):
    with pytest.raises(
        WorkdirError, match=r"no trained model: config\.yaml is missing"
    ):
        Workdir(tmp_path).load_config()
    started(tmp_path, make_config())
    with pytest.raises(WorkdirError, match=r"model.keras is missing.*`train --resume`"):
        Workdir(tmp_path).load_config()
