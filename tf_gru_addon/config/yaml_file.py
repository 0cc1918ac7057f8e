"""YAML files: plain data only, and no key twice."""

from __future__ import annotations

import os
import re
from typing import Any

import yaml

from tf_gru_addon.config.errors import ConfigError, shown


class _Loader(yaml.SafeLoader):
    """Reads plain data; nothing in a file can name a Python object."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    seen: set[str] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise ConfigError(
                f"line {line}", f"expected text as key; got {shown(key)}. Quote it."
            )
        if key in seen:
            raise ConfigError(
                f"line {line}", f"the key {key!r} is there twice. Remove one."
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
        ConfigError: it is not YAML, names a Python object, or has a key twice.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError("", f"not the YAML of a config: {error}") from error
    except RecursionError:
        raise ConfigError("", "nested too deep.") from None


def read(path: str | os.PathLike) -> dict[str, Any]:
    """Returns what a YAML file says.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: the file is not YAML, or not keys and values.
    """
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
