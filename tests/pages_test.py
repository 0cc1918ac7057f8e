"""The README and the pages of docs/ are right."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


# The recipes of weights.md need peers; docs_test.py runs each one.
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.stem != "weights" and blocks(page, "python")],
    ids=lambda page: page.stem,
)
def test_examples_raise_nothing(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block in blocks(page, "python"):
        exec(block, {})


def test_the_config_is_that_of_the_demo():
    (block,) = blocks(ROOT / "docs" / "training.md", "yaml")
    demo = (ROOT / "configs" / "japanese_vowels.yaml").read_text("utf-8")
    assert yaml.safe_load(block) == yaml.safe_load(demo)


def headings(page):
    """The anchors of a page, as GitHub makes them."""
    lines = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", lines, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}


@EVERY_PAGE
def test_links_have_targets(page):
    for link in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


@EVERY_PAGE
def test_make_targets_exist(page):
    for target in re.findall(r"\bmake (test-\w+|\w+)`", page.read_text("utf-8")):
        assert f"\n{target}:" in MAKEFILE or f" {target}: " in MAKEFILE, target


def test_readme_is_short_and_names_every_page():
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 130
    for page in PAGES[1:]:
        assert f"({page.relative_to(ROOT)})" in text
