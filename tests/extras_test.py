"""The extras of pyproject.toml, on the platforms that have builds of TensorFlow."""

from pathlib import Path

import pytest
from packaging.requirements import Requirement

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib")


@pytest.mark.parametrize(
    ("system", "machine", "distribution"),
    [
        ("linux", "x86_64", "tensorflow-cpu"),
        ("win32", "AMD64", "tensorflow-cpu"),
        ("linux", "aarch64", "tensorflow"),
        ("darwin", "arm64", "tensorflow"),
        ("darwin", "x86_64", "tensorflow"),
    ],
)
def test_the_cpu_extra_takes_a_tensorflow_that_exists(system, machine, distribution):
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8")
    extra = tomllib.loads(text)["project"]["optional-dependencies"]["cpu"]
    environment = {"sys_platform": system, "platform_machine": machine}
    wanted = [r for r in map(Requirement, extra) if r.marker.evaluate(environment)]
    assert [r.name for r in wanted] == [distribution]
