"""The config of a model: its text in JSON or YAML, and the entry of each layer."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

from tf_gru_addon.migrate.legacy.errors import LegacyModelError, expect
from tf_gru_addon.reading import require_regular

#: The layers of these classes are models.
MODELS = ("Functional", "Model", "Sequential")

#: A model of a thousand layers has about a megabyte of JSON.
_MAX_BYTES = 1 << 24
#: Reading YAML takes a hundred times as long.
_MAX_YAML_BYTES = 1 << 20
#: YAML can repeat a value by reference, so that a small text stands for many items.
_MAX_YAML_ITEMS = 1_000_000
#: No number in a config is longer.
_MAX_YAML_DIGITS = 40
#: The root packages of Keras' own classes, over its versions.
_KERAS_PACKAGES = ("builtins", "keras", "tf_keras", "tensorflow")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A layer or a model in the config of a model, in the terms of Keras 2.

    Attributes:
        kind: The name of its class.
        name: Its name.
        config: Its config.
        inbound: Its calls, if it is a layer of a functional model.
        is_of_keras: Whether the file says that its class is one of Keras' own.
    """

    kind: str
    name: str
    config: dict[str, Any]
    inbound: list[Any]
    is_of_keras: bool

    @classmethod
    def read(cls, value: Any, what: str) -> Entry:
        """Returns the entry for a JSON object.

        Args:
            value: The JSON object, with `class_name` and `config`.
            what: What the value is, for messages.

        Raises:
            LegacyModelError: It is not the JSON of a layer or model.
        """
        expect(value, dict, what)
        kind = expect(value.get("class_name"), str, f"{what}: class_name")
        config = value.get("config")
        if isinstance(config, list):  # A Sequential, before Keras 2.2.3.
            config = {"layers": config}
        expect(config, dict, f"{what}: config")
        name = config.get("name") or value.get("name") or kind.lower()
        expect(name, str, f"{what}: name")
        package = str(value.get("module") or "builtins").partition(".")[0]
        registered_as = value.get("registered_name") or kind
        inbound = value.get("inbound_nodes") or []
        expect(inbound, list, f"{name}: inbound_nodes")
        is_of_keras = package in _KERAS_PACKAGES and registered_as == kind
        return cls(kind, name, config, inbound, is_of_keras)

    @property
    def where(self) -> str:
        """The layer, for messages."""
        return f"layer {self.name!r} ({self.kind})"

    @property
    def is_model(self) -> bool:
        """Whether it is a model."""
        return self.kind in MODELS

    @property
    def trainable(self) -> bool:
        """The flag `trainable` of its config."""
        return bool(self.config.get("trainable", True))

    def inner(self, key: str) -> Entry:
        """Returns the entry of the layer that its config holds as `key`."""
        return Entry.read(self.config.get(key), f"{self.where}: {key}")

    def all_inner(self, key: str) -> list[Entry]:
        """Returns the entries of the layers that its config holds as `key`, if any."""
        value = self.config.get(key)
        if value is None:
            return []
        items = value if isinstance(value, list) else [value]
        return [Entry.read(item, f"{self.where}: {key}") for item in items]


def parse_json(text: Any, what: str) -> dict[str, Any]:
    """Returns the JSON object in a text.

    Args:
        text: The text, as `str` or `bytes`.
        what: What the text is, for messages.

    Raises:
        LegacyModelError: It is not the text of a JSON object.
    """
    expect(text, (str, bytes), what)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LegacyModelError(
            f"{what} is not JSON ({error}). The file is damaged, or was not written by "
            "Keras."
        ) from error
    result: dict[str, Any] = expect(value, dict, what)
    return result


def read_architecture(path: pathlib.Path) -> dict[str, Any]:
    """Returns the config of a model from a file with its architecture.

    Args:
        path: A file with the result of `model.to_json()` or, until Keras 2.6, of
            `model.to_yaml()`.

    Raises:
        FileNotFoundError: There is no such file.
        FileRefusedError: The path is not a regular file.
        LegacyModelError: The file is neither JSON nor YAML of plain data.
    """
    if require_regular(path) > _MAX_BYTES:
        raise LegacyModelError(
            f"an architecture file has at most {_MAX_BYTES} bytes. Give the file with "
            "the result of model.to_json()."
        )
    text = path.read_bytes()
    start = text.lstrip()[:1]
    if start not in (b"{", b'"') and path.suffix in (".yaml", ".yml"):
        return _parse_yaml(text)
    if start != b'"':
        return parse_json(text, "the architecture")
    try:  # json.dump(model.to_json(), file) encodes twice.
        inner = json.loads(text)
    except ValueError as error:
        raise LegacyModelError(
            f"the architecture is not JSON ({error}). Give the file with the result of "
            "model.to_json()."
        ) from error
    return parse_json(inner, "the architecture")


def _parse_yaml(text: bytes) -> dict[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise LegacyModelError(
            "reading YAML needs the package PyYAML: pip install pyyaml. Or let the old "
            "Keras write model.to_json()."
        ) from error

    class Loader(yaml.SafeLoader):
        """Reads plain data, and the tuples that Keras wrote."""

    def number(loader: Any, node: Any) -> Any:
        if len(node.value) > _MAX_YAML_DIGITS:
            raise yaml.YAMLError(f"a number of {len(node.value)} digits")
        kind = node.tag.rpartition(":")[2]
        return getattr(yaml.SafeLoader, f"construct_yaml_{kind}")(loader, node)

    tag = "tag:yaml.org,2002:"
    Loader.add_constructor(f"{tag}int", number)
    Loader.add_constructor(f"{tag}float", number)
    safe: Any = yaml.SafeLoader
    Loader.add_constructor(f"{tag}python/tuple", safe.construct_yaml_seq)
    Loader.add_constructor(f"{tag}python/unicode", safe.construct_yaml_str)
    try:
        if len(text) > _MAX_YAML_BYTES:
            raise ValueError(f"more than {_MAX_YAML_BYTES} bytes")
        value = yaml.load(text, Loader)
        _check_size(value)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise LegacyModelError(
            f"the architecture is not YAML of plain data ({error}). Let the old Keras "
            "write model.to_json()."
        ) from error
    return parse_json(json.dumps(value, default=str), "the architecture")


def _check_size(value: Any) -> None:
    """Raises ValueError if a value has too many items, references followed."""
    rest, count = [value], 0
    while rest:
        item = rest.pop()
        if isinstance(item, dict | list):
            rest += item.values() if isinstance(item, dict) else item
            count += len(item)
        if count > _MAX_YAML_ITEMS:
            raise ValueError(f"it stands for more than {_MAX_YAML_ITEMS} items")
