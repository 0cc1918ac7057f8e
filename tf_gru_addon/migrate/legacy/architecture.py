"""Architectures that were saved apart from the weights: `model.to_json()`."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from tf_gru_addon.migrate.legacy.errors import LegacyModelError
from tf_gru_addon.migrate.legacy.json_text import parse
from tf_gru_addon.reading import require_regular

#: A model of a thousand layers has about a megabyte of JSON.
_MAX_BYTES = 1 << 24
#: YAML is read a hundred times more slowly.
_MAX_YAML_BYTES = 1 << 20
#: What YAML's references stand for may be far more than what is written.
_MAX_ITEMS = 1_000_000
#: Longer than any number that a config has.
_LONGEST_NUMBER = 40


def read_architecture(path: pathlib.Path) -> dict[str, Any]:
    """Returns the config of a model from the file of its architecture.

    Args:
        path: A file of what `model.to_json()` or, to Keras 2.6, `model.to_yaml()` gave.

    Raises:
        FileNotFoundError: There is no such file.
        FileRefusedError: It is no regular file.
        LegacyModelError: It is neither JSON nor YAML of plain data.
    """
    if require_regular(path) > _MAX_BYTES:
        raise LegacyModelError(
            f"an architecture is a file of at most {_MAX_BYTES} bytes, as "
            "model.to_json() makes it."
        )
    text = path.read_bytes()
    start = text.lstrip()[:1]
    if start == b'"':  # json.dump(model.to_json(), file) has made JSON twice.
        text = _text_within(text)
    elif start != b"{" and path.suffix in (".yaml", ".yml"):
        return _yaml(text)
    return parse(text, "the architecture")


def _text_within(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise LegacyModelError(
            f"the architecture is not JSON ({error}). Give the file of what "
            "model.to_json() returned."
        ) from error


def _yaml(text: bytes) -> dict[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise LegacyModelError(
            "to read YAML, the package PyYAML is needed: pip install pyyaml. Or have "
            "the old Keras write model.to_json()."
        ) from error

    class Loader(yaml.SafeLoader):
        """Reads plain data, and the tuples that Keras wrote."""

    def number(loader, node):
        if len(node.value) > _LONGEST_NUMBER:
            raise yaml.YAMLError(f"a number of {len(node.value)} digits")
        kind = node.tag.rpartition(":")[2]
        return getattr(yaml.SafeLoader, f"construct_yaml_{kind}")(loader, node)

    tag = "tag:yaml.org,2002:"
    Loader.add_constructor(f"{tag}int", number)
    Loader.add_constructor(f"{tag}float", number)
    Loader.add_constructor(f"{tag}python/tuple", Loader.construct_yaml_seq)
    Loader.add_constructor(f"{tag}python/unicode", Loader.construct_yaml_str)
    try:
        if len(text) > _MAX_YAML_BYTES:
            raise ValueError(f"more than {_MAX_YAML_BYTES} bytes")
        value = yaml.load(text, Loader)
        _check_size(value)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise LegacyModelError(
            f"the architecture is not YAML of plain data ({error}). Have the old Keras "
            "write model.to_json()."
        ) from error
    return parse(json.dumps(value, default=str), "the architecture")


def _check_size(value: Any) -> None:
    rest, count = [value], 0
    while rest:
        item = rest.pop()
        if isinstance(item, dict | list):
            rest += item.values() if isinstance(item, dict) else item
            count += len(item)
        if count > _MAX_ITEMS:
            raise ValueError(f"it stands for more than {_MAX_ITEMS} items")
