import fcntl
import os
import signal
import subprocess
import sys

import pytest
from support.harness import LIGHT

from tf_gru_addon.training import RunError, WorkdirError
from tf_gru_addon.training.lock import NAME, holder, locked, require_free

HOLD = (
    LIGHT
    + """
import pathlib, sys, time
from tf_gru_addon.training.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
)


def test_a_folder_is_locked_once(tmp_path):
    path = tmp_path / "runs" / "mine"
    assert holder(path) is None
    with locked(path):
        assert holder(path) == str(os.getpid())
        message = rf"mine: another run \(process id {os.getpid()}\) uses this folder"
        with pytest.raises(WorkdirError, match=message):
            require_free(path)
        with pytest.raises(WorkdirError, match=message), locked(path):
            pass
        assert holder(path) == str(os.getpid())
    require_free(path)
    assert not list(path.iterdir())


def test_a_killed_process_holds_no_lock(tmp_path):
    command = [sys.executable, "-c", HOLD, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        assert holder(tmp_path) == str(process.pid)
        with pytest.raises(WorkdirError, match=f"process id {process.pid}\\)"):
            require_free(tmp_path)
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / NAME).exists()
    with locked(tmp_path) as lock:
        lock.check()
        assert (tmp_path / NAME).read_text().split()[0] == str(os.getpid())


FORK = (
    LIGHT
    + """
import os, pathlib, signal, sys, time
from tf_gru_addon.training.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    if child := os.fork():
        print(child, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    print("forked", flush=True)  # and its copy of the descriptor is closed
    time.sleep(60)
"""
)


def test_locking_beside_a_forked_child_raises_nothing(tmp_path):
    command = [sys.executable, "-c", FORK, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = {process.stdout.readline().strip() for _ in range(2)}
        process.wait()
    (child,) = map(int, lines - {"forked"})
    try:
        os.kill(child, 0)
        require_free(tmp_path)
        with locked(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_another_host_is_named(tmp_path):
    (tmp_path / NAME).write_text("7 far-away\n")
    with open(tmp_path / NAME, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert holder(tmp_path) == "7 on far-away"


@pytest.mark.parametrize("content", ["", "\0\xff", "7"])
def test_a_lock_file_without_an_owner(tmp_path, content):
    (tmp_path / NAME).write_text(content)
    with open(tmp_path / NAME, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(WorkdirError, match="another run"):
            require_free(tmp_path)


def test_a_replaced_folder_is_noticed(tmp_path):
    path = tmp_path / "mine"
    with locked(path) as lock:
        lock.check()
        path.rename(tmp_path / "moved")
        for _ in range(2):
            with pytest.raises(RunError, match="was removed or replaced while a run"):
                lock.check()
            path.mkdir(exist_ok=True)
        (path / NAME).write_text("another's")
    assert (path / NAME).exists()


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("all of it")
    (tmp_path / NAME).symlink_to(tmp_path / "precious")
    with pytest.raises(RunError, match="cannot be written"), locked(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "all of it"


def test_without_locks_a_run_is_possible(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError("no locks")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with locked(tmp_path) as lock:
        lock.check()
        require_free(tmp_path)


def test_a_lock_removed_while_it_is_taken(tmp_path, monkeypatch):
    """Another run ends and removes the file between opening and locking."""
    flock = fcntl.flock

    def late(*arguments):
        monkeypatch.setattr(fcntl, "flock", flock)
        (tmp_path / NAME).unlink()
        flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", late)
    with locked(tmp_path) as lock:
        lock.check()
        assert holder(tmp_path) == str(os.getpid())
