"""YAML files: plain data only, written out, and no key twice."""

from __future__ import annotations

import os
import re
from typing import Any

import yaml

from tf_gru_addon.config.errors import ConfigError, short, shown


class _Loader(yaml.SafeLoader):
    """Reads plain data; nothing in a file can name a Python object."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        # A few lines of aliases of aliases stand for more data than a memory holds.
        event = self.peek_event()
        if getattr(event, "anchor", None) is not None:
            raise ConfigError(
                _line(event),
                f"aliases (*{event.anchor}) and anchors (&{event.anchor}) are not "
                "supported. Write the value out; quote it if it is text.",
            )
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ConfigError:
            raise
        except _NO_SUCH_VALUE as error:
            kind = node.tag.rpartition(":")[2]
            raise ConfigError(
                _line(node),
                f"{short(node.value)} looks like a YAML {kind}, but is none: "
                f"{short(str(error))}. Correct it; quote it if it is text.",
            ) from error


# What PyYAML raises, beside its own errors, for a date such as 2001-13-45.
_NO_SUCH_VALUE = (ValueError, ArithmeticError, LookupError, AttributeError, TypeError)


def _line(place: yaml.Node | yaml.Event) -> str:
    return f"line {place.start_mark.line + 1}"


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    seen: set[str] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            raise ConfigError(
                _line(key_node),
                "merge keys (<<) are not supported. Write the keys out.",
            )
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise ConfigError(
                _line(key_node), f"expected text as key; got {shown(key)}. Quote it."
            )
        if key in seen:
            raise ConfigError(
                _line(key_node), f"the key {short(key)} is there twice. Remove one."
            )
        seen.add(key)
    return dict(loader.construct_pairs(node, deep=True))


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
# YAML 1.1 takes 3e-3 for text, as it lacks the point; everybody means the number.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def parse(text: str) -> Any:
    """Returns what a YAML text says.

    Raises:
        ConfigError: it is not YAML, names a Python object, has a key twice, or has
            aliases.
    """
    try:
        return yaml.load(text, _Loader)
    except ConfigError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ConfigError("", f"not the YAML of a config: {error}") from error
    except RecursionError:
        raise ConfigError("", "nested too deep.") from None


def read(path: str | os.PathLike) -> dict[str, Any]:
    """Returns what a YAML file says.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: the file is not YAML, or not keys and values.
    """
    if os.path.isdir(path):
        raise ConfigError(str(path), "expected a config file; this is a folder.")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: there is no such config file.")
    try:
        with open(path, encoding="utf-8") as file:
            content = parse(file.read())
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), f"not a text file in UTF-8: {error}") from error
    except ConfigError as error:
        raise ConfigError(str(path), str(error)) from error
    if not isinstance(content, dict):
        raise ConfigError(str(path), f"expected keys and values; got {shown(content)}.")
    return content


def write(content: dict[str, Any], path: str | os.PathLike) -> None:
    """Writes plain data as YAML.

    Raises:
        OSError: the file cannot be written.
    """
    with open(path, "w", encoding="utf-8") as file:
        yaml.dump(content, file, _Dumper, sort_keys=False)
