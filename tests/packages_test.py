"""The installation commands that errors recommend."""

import importlib.metadata

import pytest

from tf_gru_addon import packages
from tf_gru_addon.packages import install_command

REQUIRED = [
    "keras<4,>=3.3.3",
    'pydantic>=2.5; extra == "train"',
    'pyyaml>=6.0; extra == "train"',
    'onnx>=1.17; extra == "export"',
    'tensorflow-cpu>=2.16; python_version >= "3" and extra == "cpu"',
    'tensorflow>=2.16; python_version < "3" and extra == "cpu"',
    'tensorflow[and-cuda]>=2.16; extra == "gpu"',
]


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """The package as if pip had installed it, without a clone around it."""
    monkeypatch.setattr(packages, "__file__", str(tmp_path / "tf_gru_addon" / "a.py"))
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: REQUIRED)
    return tmp_path


def test_in_a_clone(installed):
    (installed / "pyproject.toml").write_text('[project]\nname = "tf_gru_addon"\n')
    command = install_command("yaml", extra="train")
    assert command == f'pip install -e "{installed}[train]"'


@pytest.mark.parametrize("others", [True, False])
def test_installed(installed, others):
    if others:
        (installed / "pyproject.toml").write_text('[project]\nname = "other"\n')
    command = install_command("yaml", extra="train")
    assert command == 'pip install "pydantic>=2.5" "pyyaml>=6.0"'
    assert install_command(extra="cpu") == 'pip install "tensorflow-cpu>=2.16"'
    command = install_command(extra="gpu")
    assert command == 'pip install "tensorflow[and-cuda]>=2.16"'


def test_copied_into_a_program(installed, monkeypatch):
    def requires(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    assert install_command("yaml", extra="train") == "pip install pyyaml"


def test_every_extra_that_errors_name_exists():
    try:
        importlib.metadata.version("tf_gru_addon")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package is not installed")
    for extra in ("cpu", "gpu", "train", "export"):
        assert packages._required(extra)
