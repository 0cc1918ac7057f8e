"""Runs killed with SIGKILL, at the worst moments."""

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

from tf_gru_addon.config import load_config, save_config
from tf_gru_addon.training import train

EPOCHS = 12

# Runs the command line, and dies at the n-th call of a named function: in `savez` after
# half of the file, in any other before it does anything.
DYING = """
import os, pkgutil, signal, sys
from tf_gru_addon import cli
owner, name, count, *arguments = sys.argv[1:]
owner = pkgutil.resolve_name(owner)
function, left = getattr(owner, name), int(count)
def dying(*args, **kwargs):
    global left
    left -= 1
    if left:
        return function(*args, **kwargs)
    if name == "savez":
        args[0].write(b"half a file")
        args[0].flush()
    os.kill(os.getpid(), signal.SIGKILL)
setattr(owner, name, dying)
sys.exit(cli.main(arguments))
"""

FULL = """
import resource, sys
from tf_gru_addon import cli
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(cli.main(sys.argv[2:]))
"""

# The model does not fit on a disk of 20 kB, though its state does.
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


def fill_disk(limit, refused, arguments):
    """Runs the command line with no file allowed to exceed `limit` bytes."""
    process = python("-c", FULL, limit, *arguments, stderr=subprocess.PIPE)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert f"error: {refused}: cannot be written" in errors


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


def assert_same_end(one, two):
    for folder in (one, two):
        assert {file.name for file in folder.iterdir()} >= {
            *("model.keras", "saved_model", "metrics.json", "training.png"),
        }
        assert not [file for file in folder.iterdir() if file.name.startswith(".")]
    with np.load(one / "resume.npz") as a, np.load(two / "resume.npz") as b:
        assert set(a) == set(b)
        for key in set(a) - {"progress"}:  # it holds durations
            np.testing.assert_array_equal(a[key], b[key], err_msg=key)
    assert (one / "history.csv").read_text() == (two / "history.csv").read_text()
    models = [keras.saving.load_model(path / "model.keras") for path in (one, two)]
    for x, y in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(x, y)


def test_killed_at_every_step(tmp_path, config_path):
    whole, path = tmp_path / "never_killed", tmp_path / "killed"
    train(load_config(config_path), whole)
    state = (whole / "resume.npz").stat().st_size
    command = ["train", "--config", config_path, "--workdir", path, "--resume"]
    die(["tf_gru_addon.training.workdir", "save_config", 1], *command)
    fill_disk(state // 2, path / "resume.npz", command)
    die(["numpy", "savez", 3], *command)  # while it writes the state of the third epoch
    assert len((path / "history.csv").read_text().split()) == 1 + 2
    die(["keras:Model", "fit", 3], *command)
    process = python("-m", "tf_gru_addon", *command)
    process.stdout.readline()  # an epoch is finished, or all are
    time.sleep(random.SystemRandom().uniform(0, 0.1))  # whatever the seed
    process.kill()
    process.communicate()
    fill_disk(state + 2000, path / "model.keras", command)
    with np.load(path / "resume.npz") as kept:
        assert len(kept["model/0000"])
    die(["tf_gru_addon.training.train", "plot_history", 1], *command)
    assert not (path / "metrics.json").exists()
    train(load_config(config_path), path, resume=True)
    assert_same_end(path, whole)
