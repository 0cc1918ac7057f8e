"""What the README shows is so."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def test_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(block, {})


def test_the_config_is_that_of_the_demo():
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    demo = (ROOT / "configs" / "japanese_vowels.yaml").read_text("utf-8")
    assert yaml.safe_load(block) == yaml.safe_load(demo)


def test_files_and_commands_exist():
    for path in re.findall(r"\]\((?!http|#)([^)]+)\)", README):
        assert (ROOT / path).exists(), path
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"make (test-\w+|\w+)`", README):
        assert f"\n{target}:" in makefile, target
