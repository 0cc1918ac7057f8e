import os
import resource
import signal
import subprocess
import sys

import pytest
import tensorflow as tf
from support.harness import LIGHT

from tf_gru_addon.errors import RunError
from tf_gru_addon.files import is_unfinished, remove_unfinished, size, whole


def write(path, text):
    with whole(path) as unfinished:
        unfinished.write_text(text)


def fail_to_write(path, error):
    with whole(path) as unfinished:
        unfinished.write_text("ne")
        raise error


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "a.txt"
    write(path, "old")
    write(path, "new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_is_replaced(tmp_path):
    path = tmp_path / "a"
    for name in ("old", "new"):
        with whole(path) as unfinished:
            (unfinished / "inner").mkdir(parents=True)
            (unfinished / "inner" / name).write_text(name)
    assert [file.name for file in path.rglob("*")] == ["inner", "new"]
    assert size(path) == 3


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left"),
        tf.errors.ResourceExhaustedError(None, None, "full"),
    ],
)
def test_a_failed_write_keeps_the_old_file(tmp_path, error):
    path = tmp_path / "a.txt"
    write(path, "old")
    with pytest.raises(
        RunError, match=r"a\.txt: cannot be written .*--resume continues"
    ):
        fail_to_write(path, error)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_any_other_error_passes_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write(path, "old")
    with pytest.raises(KeyError):
        fail_to_write(path, KeyError())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_missing_folder(tmp_path):
    with pytest.raises(RunError, match="cannot be written"):
        write(tmp_path / "no" / "a.txt", "new")


KILLED = (
    LIGHT
    + """
import os, signal, sys
from pathlib import Path
from tf_gru_addon.files import whole
with whole(Path(sys.argv[1])) as unfinished:
    unfinished.write_text("ne")
    os.kill(os.getpid(), signal.SIGKILL)
"""
)


def test_a_killed_process_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write(path, "old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    (left,) = [file for file in tmp_path.iterdir() if file != path]
    assert is_unfinished(left)
    write(path, "new")
    assert os.listdir(tmp_path) == ["a.txt"]


NESTED = (
    LIGHT
    + """
import os, signal, sys
from pathlib import Path
from tf_gru_addon.files import whole
with whole(Path(sys.argv[1])) as outer:
    outer.mkdir()
    with whole(outer / "a.txt") as inner:
        inner.write_text("ne")
        os.kill(os.getpid(), signal.SIGKILL)
"""
)


def test_a_killed_process_keeps_the_old_folder(tmp_path):
    path = tmp_path / "served"
    done = subprocess.run([sys.executable, "-c", NESTED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".unfinished-served-")
    with whole(path) as unfinished:
        unfinished.mkdir()
    assert os.listdir(tmp_path) == ["served"]


def test_an_unfinished_file_of_a_live_process_is_kept(tmp_path):
    path = tmp_path / "a.txt"
    with whole(path) as first:
        first.write_text("first")
        write(path, "second")
        remove_unfinished(tmp_path)
        assert path.read_text() == "second"
        assert first.read_text() == "first"
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("prefix", [".unfinished-", ".unfinished-.unfinished-"])
def test_leftovers_of_an_earlier_version_are_removed(tmp_path, prefix):
    (tmp_path / f"{prefix}a.txt").write_text("ne")
    (tmp_path / f"{prefix}served").mkdir()
    (tmp_path / f"{prefix}served" / "part").write_text("ne")
    (tmp_path / "served.unfinished-").write_text("mine")
    write(tmp_path / "a.txt", "new")
    assert len(os.listdir(tmp_path)) == 3
    remove_unfinished(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "served.unfinished-"]


@pytest.mark.parametrize("system", ["has none", "refuses them"])
def test_without_locks_nothing_is_removed(tmp_path, monkeypatch, system):
    def refuse(*arguments):
        raise OSError(95, "Operation not supported")

    (tmp_path / ".unfinished-a.txt").write_text("ne")
    if system == "has none":
        monkeypatch.setattr("tf_gru_addon.files.fcntl", None)
    else:
        monkeypatch.setattr("fcntl.flock", refuse)
    write(tmp_path / "a.txt", "new")
    assert sorted(os.listdir(tmp_path)) == [".unfinished-a.txt", "a.txt"]


def test_a_full_disk(tmp_path):
    path = tmp_path / "a.txt"
    write(path, "old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(RunError, match=r"cannot be written \(.*File too large"):
            write(path, "new" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]
