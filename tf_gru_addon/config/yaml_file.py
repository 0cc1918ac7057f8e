"""YAML files of plain data, without aliases, merge keys or duplicate keys."""

from __future__ import annotations

import os
import re
from typing import Any

import yaml

from tf_gru_addon.config.errors import ConfigError, short, shown
from tf_gru_addon.reading import FileRefusedError, require_regular
from tf_gru_addon.reading.boundary import reason

#: A config of 100 layers with every argument given takes 40 kB. PyYAML reads about 100
#: kB per second.
_MAX_BYTES = 1 << 17
#: Longer than any number or date; Python takes hours to parse one of megabytes.
_MAX_SCALAR = 400


class _Loader(yaml.SafeLoader):
    """Reads plain data; a file cannot name a Python object."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        # A few lines of nested aliases can expand to more data than fits into memory.
        event = self.peek_event()
        if getattr(event, "anchor", None) is not None:
            raise ConfigError(
                _line(event),
                f"aliases (*{event.anchor}) and anchors (&{event.anchor}) are not "
                "supported. Write the value out; quote it if it is text.",
            )
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        is_value = isinstance(node, yaml.ScalarNode) and node.tag != _TEXT
        if is_value and len(node.value) > _MAX_SCALAR:
            kind = node.tag.rpartition(":")[2]
            raise ConfigError(
                _line(node),
                f"{short(node.value)} is a YAML {kind} of {len(node.value)} "
                f"characters; at most {_MAX_SCALAR} are read. Quote it if it is text.",
            )
        try:
            return super().construct_object(node, deep)
        except ConfigError:
            raise
        except _NO_SUCH_VALUE as error:
            kind = node.tag.rpartition(":")[2]
            raise ConfigError(
                _line(node),
                f"{short(node.value)} looks like a YAML {kind}, but is not valid: "
                f"{short(str(error))}. Correct it; quote it if it is text.",
            ) from error


_TEXT = "tag:yaml.org,2002:str"
# PyYAML raises these, besides its own errors, for a date such as 2001-13-45.
_NO_SUCH_VALUE = (ValueError, ArithmeticError, LookupError, AttributeError, TypeError)


def _line(place: yaml.Node | yaml.Event) -> str:
    return (
        f"line {place.start_mark.line + 1}" if place.start_mark else "an unknown line"
    )


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
                _line(key_node), f"expected text as a key; got {shown(key)}. Quote it."
            )
        if key in seen:
            raise ConfigError(
                _line(key_node), f"the key {short(key)} is given twice. Remove one."
            )
        seen.add(key)
    return dict(loader.construct_pairs(node, deep=True))


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
# YAML 1.1 reads 3e-3 as text, as it has no decimal point; users mean the number.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def parse(text: str) -> Any:
    """Returns the content of a YAML text.

    Raises:
        ConfigError: It is not YAML, names a Python object, has a duplicate key, or has
            aliases.
    """
    if len(text) > _MAX_BYTES:
        raise ConfigError(
            "", f"a config has at most {_MAX_BYTES} characters; this has {len(text)}."
        )
    try:
        return yaml.load(text, _Loader)
    except ConfigError:
        raise
    except RecursionError:
        raise ConfigError("", "nested too deeply.") from None
    except Exception as error:  # PyYAML raises many types for damaged files
        raise ConfigError("", f"not valid YAML: {error}") from error


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the content of a YAML file.

    Raises:
        FileNotFoundError: The file does not exist.
        ConfigError: The file cannot be read, is not YAML, or is not a mapping.
    """
    try:
        require_regular(path)
        with open(path, encoding="utf-8") as file:
            content = parse(file.read(_MAX_BYTES + 1))
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), f"not a text file in UTF-8: {error}") from error
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ConfigError(str(path), f"cannot be read ({reason(error)}).") from error
    except (ConfigError, FileRefusedError) as error:
        raise ConfigError(str(path), str(error)) from error
    if not isinstance(content, dict):
        raise ConfigError(str(path), f"expected keys and values; got {shown(content)}.")
    return content


def write(content: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes plain data as YAML.

    Raises:
        OSError: The file cannot be written.
    """
    with open(path, "w", encoding="utf-8") as file:
        yaml.dump(content, file, _Dumper, sort_keys=False)
