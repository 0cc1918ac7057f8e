import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from absl import flags
from support.harness import run_python

import tf_gru_addon
from tf_gru_addon import cli
from tf_gru_addon.cli.command import Flag, command
from tf_gru_addon.cli.dispatch import program_name
from tf_gru_addon.packages import install_command

ROOT = Path(__file__).parents[2]
TINY = ["--config", str(ROOT / "configs" / "tiny.yaml")]
QUICK = [*TINY, "--set", "training.epochs=1", "--set", "model.layers[0].GRU.units=2"]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "tiny"
    assert cli.main(["train", *QUICK, "--workdir", str(path)]) == 0
    return path


def test_the_tiny_config_end_to_end(tmp_path):
    path = tmp_path / "tiny"
    command = [sys.executable, "-m", "tf_gru_addon", "train", *TINY, "--workdir", path]
    variables = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True
    )
    assert not re.search(r"^(I\d{4}|W\d{4}|WARNING)", done.stderr, re.M), done.stderr
    assert re.search(r"epoch 6/6  loss \d\.\d+  accuracy 0\.\d+  val_", done.stdout)
    for row in ("train +216", "validation +54", "test +370"):
        assert re.search(row + r" +0\.\d{4} +0\.\d{4}", done.stdout)
    for fact in (
        "parameters",
        "seconds of training",
        "model.keras",
        "SavedModel, reloaded",
    ):
        assert fact in done.stdout
    accuracy = re.search(r"test +370 +\S+ +(\S+)", done.stdout)[1]
    assert float(accuracy) > 0.5


def test_a_finished_run_is_shown_again(workdir, call):
    before = sorted(file.stat().st_mtime_ns for file in workdir.rglob("*"))
    code, out, _ = call("train", "--resume", "--workdir", workdir)
    assert code == 0
    assert "test" in out
    assert "epoch " not in out
    assert sorted(file.stat().st_mtime_ns for file in workdir.rglob("*")) == before


def test_evaluate(workdir, call):
    code, out, _ = call("evaluate", "--workdir", workdir)
    assert code == 0
    assert re.search(r"test +370 +\d\.\d{4} +0\.\d{4}", out)


def test_export(workdir, tmp_path, call):
    arguments = ("export", "--workdir", workdir, "--output", tmp_path / "served")
    code, out, _ = call(*arguments)
    assert code == 0
    assert "it differs from the trained model by" in out
    code, _, err = call(*arguments)
    assert code == 2
    assert "served: exists already" in err


def test_resume_with_more_epochs(tmp_path, call):
    path = tmp_path / "mine"
    assert call("train", *QUICK, "--set=export.formats=[]", "--workdir", path)[0] == 0
    more = ("--set", "training.epochs=2")
    code, out, _ = call("train", "--resume", *more, "--workdir", path)
    assert code == 0
    assert "epoch 2/2" in out
    assert "epoch 1/2" not in out


#: The two ways to start the command; the script is in a folder of the environment.
WAYS = {
    "tf-gru-addon": ["tf-gru-addon"],
    "python -m tf_gru_addon": ["-m", "tf_gru_addon"],
}


@pytest.fixture(params=WAYS)
def started(request, tmp_path):
    """Starts a process in either way; returns the command and the finished process."""
    script = "from tf_gru_addon.cli import run\nrun()\n"
    (tmp_path / "tf-gru-addon").write_text(script)
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    del variables["TF_CPP_MIN_LOG_LEVEL"]

    def start(*arguments, options=()):
        command = [sys.executable, *options, *WAYS[request.param], *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True
        )
        return request.param, done

    return start


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        ([], 2),
        (["trian"], 2),
        (["train", "--help"], 0),
        (["inspect", "--help"], 0),
        (["export", "--help"], 0),
        (["train", "--bogus"], 2),
        (["train", "--config", "no.yaml", "--workdir", "a"], 2),
        (["inspect", "no.npz"], 2),
    ],
)
def test_commands_without_a_model_do_not_load_tensorflow(started, arguments, code):
    typed, done = started(*arguments, options=["-X", "importtime"])
    assert done.returncode == code, done.stderr
    imported = re.findall(r"^import time: .*\| +(\S+)$", done.stderr, re.M)
    assert "tf_gru_addon.cli" in imported
    assert not {"tensorflow", "keras"} & set(imported)
    if code == 0 and "--version" not in arguments:
        assert f"usage: {typed} " in done.stdout


WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = None
from tf_gru_addon import cli
cli.run()
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", *TINY, "--workdir", "a"],
        ["evaluate", "--workdir", "a"],
        ["export", "--model", "a.keras", "--output", "a"],
        ["deploy", "--workdir", "a", "--output", "b"],
        ["convert", "a.h5", "a.keras"],
    ],
)
def test_without_tensorflow(tmp_path, arguments):
    (tmp_path / "tf-gru-addon").write_text(WITHOUT_TENSORFLOW)
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "tf-gru-addon", *arguments]
    done = subprocess.run(
        command, cwd=tmp_path, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 2
    start = "error: tf_gru_addon needs TensorFlow 2.16 or later, and found none. Inst"
    assert done.stderr.startswith(start)
    assert os.listdir(tmp_path) == ["tf-gru-addon"]


@pytest.mark.parametrize("started", ["tf-gru-addon"], indirect=True)
def test_the_layers_are_registered_for_a_command(started, tmp_path):
    """`import tf_gru_addon` alone does not register them in such a process."""
    layers = [keras.Input((None, 3)), tf_gru_addon.GRU(4)]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    _, done = started("export", "--model", "model.keras", "--output", "served")
    assert done.returncode == 0, done.stderr
    assert "parity   passed" in done.stdout


def test_version(call):
    assert call("--version") == (0, f"tf_gru_addon {tf_gru_addon.__version__}\n", "")


def test_help(call):
    code, out, _ = call("--help")
    assert code == 0
    for name, entry in cli.COMMANDS.items():
        assert f"  {name:10} {entry.summary}" in out


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_of_a_command(call, name):
    code, out, _ = call(name, "--help")
    assert code == 0
    usage = " ".join([name, *cli.COMMANDS[name].arguments])
    assert f" {usage} [--flag ...]" in out
    flags = cli.COMMANDS[name].flags
    assert re.findall(r"^  --(\w+) ", out, re.M) == [flag.name for flag in flags]
    assert out.count("(required)") == sum(flag.required for flag in flags)


def test_no_command(call):
    code, out, _ = call()
    assert code == 2
    assert "usage:" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "'trian' is not a command. Did you mean 'train'?"),
        (
            ["train", "--confg", "a"],
            "Unknown command line flag 'confg'. Did you mean: ",
        ),
        (
            ["train", "--bogus"],
            "Unknown command line flag 'bogus'. See `{program} train --help`.",
        ),
        (["train", "--workdir"], "Missing value for flag --workdir"),
        (["train", "--resume=perhaps"], "flag --resume=perhaps"),
        (
            ["train", *TINY],
            "train needs --workdir. See `{program} train --help`.",
        ),
        (["train", "--workdir", "{tmp}/a"], "train needs --config"),
        (["train", *TINY, "a", "--workdir", "{tmp}/a"], "train takes no 'a'"),
        (["train", "--resume", "--workdir", "{tmp}/a"], "a: there is no run to resume"),
        (
            ["train", "--config", "{tmp}/a.yaml", "--workdir", "{tmp}/a"],
            "a.yaml: there is no such file",
        ),
        (["train", *TINY, "--set", "trainin.epochs=1"], "Did you mean 'training'?"),
        (["train", *TINY, "--set", "model.layers[0]=GUR"], "Did you mean 'GRU'?"),
        (["train", *TINY, "--set", "training.epochs"], "there is no `=`"),
        (
            ["train", *TINY, "--set", "data={train: {tmp}/a.npz, test: {tmp}/b.npz}"],
            "a.npz: there is no such file",
        ),
        (["train", *TINY, "--set", "model.features=3"], "Set `model.features` to 12"),
        (
            ["train", *TINY, "--set", "model.layers[0].GRU.return_sequences=true"],
            "the last layer must give (batch, classes)",
        ),
        (
            ["train", "--config", "{tmp}", "--workdir", "{tmp}/a"],
            "expected a regular file; this is a folder",
        ),
        (
            ["train", *TINY, "--set", "data={train: {tmp}, test: {tmp}/b.npz}"],
            "expected a regular file; this is a folder",
        ),
        (["evaluate", "--workdir", "{tmp}/a"], "there is no trained model"),
        (["export", "--workdir", "{tmp}/a"], "export needs --output"),
        (["export", "--workdir", "{tmp}/a", "--output", "{tmp}/b"], "no trained model"),
    ],
)
def test_impossible_requests_are_refused(call, tmp_path, arguments, message):
    arguments = [str(each).replace("{tmp}", str(tmp_path)) for each in arguments]
    if "--set" in arguments:
        arguments += ["--workdir", str(tmp_path / "a")]
    code, out, err = call(*arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert message.replace("{program}", program_name()) in err
    assert not out
    assert not os.listdir(tmp_path)


def test_an_error_of_keras_names_the_config(call, tmp_path):
    """Also where only building the model shows that the config is wrong."""
    code, _, err = call(
        "train",
        *TINY,
        "--set",
        "optimizer={SGD: {momentum: 7}}",
        "--workdir",
        tmp_path / "a",
    )
    assert code == 2
    assert "tiny.yaml with --set 'optimizer={SGD: {momentum: 7}}': optimizer." in err


def test_a_folder_that_is_not_empty(call, tmp_path):
    (tmp_path / "thesis.tex").write_text("all of it")
    code, _, err = call("train", *TINY, "--workdir", tmp_path)
    assert code == 2
    assert "the folder is not empty" in err
    assert os.listdir(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 no more", "not an .npz file, or a truncated one"),
        ({"x": np.ones((2, 3, 12)), "y": [0, 9]}, "labels must be in 0..8"),
        (
            {"frames": np.ones((2, 12)), "lengths": [2, 1], "labels": [0, 1]},
            "lengths must add up",
        ),
    ],
)
def test_bad_data(call, tmp_path, content, message):
    path = tmp_path / "a.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.savez(path, **content)
        other = tmp_path / "b.npz"
        np.savez(other, x=np.ones((2, 3, 12)), y=[0, 1])
    data = f"data={{train: {path}, test: {tmp_path / 'b.npz'}}}"
    changes = ("--set", data, "--set", "training.validation_fraction=0")
    code, _, err = call("train", *TINY, *changes, "--workdir", tmp_path / "run")
    assert code == 2
    assert message in err
    assert not (tmp_path / "run").exists()


def test_a_failed_run(call, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = call("train", *QUICK, "--workdir", tmp_path / "file" / "run")
    assert code == 1
    assert "run: cannot be written" in err


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("train", (), "interrupted; `train --resume` continues it\n"),
        ("inspect", ("FILE",), "interrupted\n"),
    ],
)
def test_interrupted(call, monkeypatch, name, arguments, message):
    def interrupt(*given):
        raise KeyboardInterrupt

    interrupted = cli.Command(interrupt, arguments=arguments)
    monkeypatch.setitem(cli.COMMANDS, name, interrupted)
    assert call(name, *arguments)[::2] == (130, message)


def test_an_unexpected_error_keeps_its_traceback(call, monkeypatch):
    def fail():
        raise ZeroDivisionError

    monkeypatch.setitem(cli.COMMANDS, "train", cli.Command(fail))
    with pytest.raises(ZeroDivisionError):
        call("train")


def test_a_new_command_is_one_function(call, monkeypatch):
    monkeypatch.setitem(cli.COMMANDS, "greet", None)  # removes it afterwards

    @command(Flag("name", "whom to greet", default="you"), arguments=["GREETING"])
    def greet(greeting, *, name):
        """Print a greeting."""
        print(greeting, name)

    assert call("greet", "Hello,", "--name=Ada") == (0, "Hello, Ada\n", "")
    assert "  greet      Print a greeting." in call("--help")[1]
    assert "  --name  whom to greet" in call("greet", "--help")[1]
    assert "greet needs GREETING. See" in call("greet")[2]


def test_absl_keeps_its_own_flags():
    assert not {"config", "workdir", "resume", "output"} & set(flags.FLAGS)


WITHOUT = """
import sys
from tf_gru_addon import cli

for package in sys.argv[1].split():
    imported = sys.modules.get(package)
    sys.modules[package] = None
    print(cli.main(["train", *sys.argv[2:]]), flush=True)
    del sys.modules[package]
    if imported:
        sys.modules[package] = imported
"""


def test_without_the_extra(tmp_path):
    packages = ("pydantic", "yaml", "matplotlib", "tensorboard")
    workdir = ["--workdir", tmp_path / "a"]
    done = run_python(WITHOUT, " ".join(packages), *TINY, *workdir)
    assert done.stdout.split() == ["2"] * 4
    errors = re.findall("^error: (.*)", done.stderr, re.M)
    for line, package in zip(errors, packages, strict=True):
        assert f"need {package!r}, which is not installed" in line
        assert f"Run: {install_command(extra='train')}" in line
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("options", [(), ("-u",)], ids=["flush", "print"])
def test_a_closed_pipe_is_not_an_error(options):
    process = subprocess.Popen(
        [sys.executable, *options, "-m", "tf_gru_addon", "--help"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0
    process.stderr.close()


def test_a_warning_is_one_line():
    code = (
        "import sys, warnings; sys.argv = ['tf-gru-addon', '--version']\n"
        "from tf_gru_addon import cli\n"
        "try: cli.run()\n"
        "except SystemExit: warnings.warn('left out')"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "warning: left out\n"
