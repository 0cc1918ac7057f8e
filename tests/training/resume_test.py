"""Runs that are really killed: with SIGKILL, at the worst of moments."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from tf_gru_addon.config import save_config

EPOCHS = 12

# Runs the command line, and dies when a named function is called for the n-th time:
# before it does anything ("before"), or when it has written half ("half").
DYING = """
import importlib, os, signal, sys
from tf_gru_addon import cli
module, name, count, *arguments = sys.argv[1:]
module = importlib.import_module(module)
function, left = getattr(module, name), int(count)
def dying(*args, **kwargs):
    global left
    left -= 1
    if left:
        return function(*args, **kwargs)
    if name == "savez":
        args[0].write(b"half a file")
        args[0].flush()
    os.kill(os.getpid(), signal.SIGKILL)
setattr(module, name, dying)
sys.exit(cli.main(arguments))
"""

FULL = """
import resource, sys
from tf_gru_addon import cli
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(cli.main(sys.argv[2:]))
"""

# More arrays than a disk of 20 kB holds, so that the model does not fit where the
# state of it does.
LAYERS = [
    {"GaussianNoise": {"stddev": 0.05}},
    {"GRU": {"units": 6, "dropout": 0.2, "recurrent_dropout": 0.2}},
    {"Dropout": {"rate": 0.2}},
    {"Dense": {"units": 3}},
]


def python(*arguments, **options):
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, *map(str, arguments)]
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True, **options
    )


def die(when, *arguments):
    process = python("-c", DYING, *when, *arguments)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def finish(*arguments):
    process = python("-m", "tf_gru_addon", *arguments)
    output, _ = process.communicate()
    assert process.returncode == 0
    return output


@pytest.fixture(scope="module")
def config_path(tmp_path_factory, make_config):
    path = tmp_path_factory.mktemp("config") / "mine.yaml"
    config = make_config(
        LAYERS,
        formats=["saved_model"],
        epochs=EPOCHS,
        validation_fraction=0.25,
        learning_rate_schedule="cosine",
    )
    save_config(config, path)
    return path


@pytest.fixture(scope="module")
def never_killed(tmp_path_factory, config_path):
    path = tmp_path_factory.mktemp("runs") / "never_killed"
    finish("train", "--config", config_path, "--workdir", path)
    return path


def assert_same_end(one, two):
    for folder in (one, two):
        assert {file.name for file in folder.iterdir()} >= {
            *("model.keras", "saved_model", "metrics.json", "training.png"),
        }
        assert not [file for file in folder.iterdir() if file.name.startswith(".")]
    with np.load(one / "resume.npz") as a, np.load(two / "resume.npz") as b:
        assert set(a) == set(b)
        for key in set(a) - {"progress"}:  # which has seconds in it
            np.testing.assert_array_equal(a[key], b[key], err_msg=key)
    assert (one / "history.csv").read_text() == (two / "history.csv").read_text()
    models = [keras.saving.load_model(path / "model.keras") for path in (one, two)]
    for x, y in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(x, y)


def test_killed_at_every_step(tmp_path, config_path, never_killed):
    path = tmp_path / "killed"
    train = ["train", "--config", config_path, "--workdir", path, "--resume"]
    die(["tf_gru_addon.training.workdir", "save_config", 1], *train)
    die(["numpy", "savez", 3], *train)  # while it writes the state of the third epoch
    assert len((path / "history.csv").read_text().split()) == 1 + 2
    die(["tf_gru_addon.training.train", "_run_epoch", 3], *train)
    die(["tf_gru_addon.training.train", "plot_history", 1], *train)
    assert not (path / "metrics.json").exists()
    output = finish(*train)
    assert "epoch" in output
    assert_same_end(path, never_killed)


def test_killed_at_any_moment(tmp_path, config_path, never_killed):
    path = tmp_path / "killed"
    train = ["train", "--config", config_path, "--workdir", path, "--resume"]
    for _ in range(2):
        process = python("-m", "tf_gru_addon", *train)
        process.stdout.readline()  # an epoch is done, or all is
        time.sleep(random.SystemRandom().uniform(0, 0.4))  # whatever the seed
        process.kill()
        process.communicate()
    finish(*train)
    assert_same_end(path, never_killed)


def test_a_full_disk(tmp_path, config_path, never_killed):
    path = tmp_path / "full"
    train = ["train", "--config", config_path, "--workdir", path, "--resume"]
    state = (never_killed / "resume.npz").stat().st_size
    for limit, refused in ((state // 2, "resume.npz"), (state + 2000, "model.keras")):
        process = python("-c", FULL, limit, *train, stderr=subprocess.PIPE)
        _, errors = process.communicate()
        assert process.returncode == 1
        assert f"error: {path / refused}: cannot be written" in errors
    with np.load(path / "resume.npz") as kept:
        assert len(kept["model/0000"])
    finish(*train)
    assert_same_end(path, never_killed)
