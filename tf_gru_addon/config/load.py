"""Loads, checks and saves configs."""

from __future__ import annotations

import contextlib
import os
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tf_gru_addon import arguments
from tf_gru_addon.config.errors import ConfigError, short, shown
from tf_gru_addon.config.extras import missing_extra
from tf_gru_addon.config.overrides import apply_override
from tf_gru_addon.errors import did_you_mean

try:
    import pydantic

    from tf_gru_addon.config import yaml_file
except ImportError as error:
    raise missing_extra(error) from error

from tf_gru_addon.config.schema import MAX_LAYERS, Config

# Each wrapper layer takes two levels of nesting; real models have a few.
_MAX_DEPTH = 50
# What was expected, by the type of pydantic's error, where its message is unclear.
_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "too_short": "a list with at least 1 entry",
    "too_long": f"a list with at most {MAX_LAYERS} entries",
}


def load_config(path: str | os.PathLike[str], overrides: Iterable[str] = ()) -> Config:
    """Reads a config file.

    Args:
        path: A YAML file.
        overrides: Changes to make before checking, as `key.path=value` with the value
            in YAML: `"training.epochs=5"`, `"model.layers[0].GRU.units=32"`.

    Returns:
        The config, with every key and every layer's arguments checked.

    Raises:
        FileNotFoundError: The file does not exist.
        ConfigError: The file is not YAML, or a key or value is wrong. The message names
            the file or override, the key, what was expected and what was received.

    Example:
        >>> config = load_config("configs/tiny.yaml", ["training.epochs=1"])
        >>> config.training.epochs
        1
    """
    path, overrides = arguments.path("path", path), _texts(overrides)
    content = yaml_file.read(path)
    with named(path, overrides):
        for override in overrides:
            apply_override(content, override)
        return parse_config(content, folder=path.parent)


def parse_config(
    content: Mapping[str, Any], *, folder: str | os.PathLike[str] = ""
) -> Config:
    """Returns the config that plain data describes.

    Args:
        content: The sections by name, as in a config file.
        folder: The folder in which to look for data files with relative paths, before
            the current directory.

    Raises:
        ConfigError: A key or value is wrong.
    """
    _require_shallow(content)
    try:
        return Config.model_validate(content, context={"folder": folder})
    except pydantic.ValidationError as error:
        problems = [_explain(problem) for problem in error.errors()]
    if len(problems) == 1:
        raise problems[0]
    lines = "".join(f"\n  {problem}" for problem in problems)
    raise ConfigError("", f"{len(problems)} problems:{lines}")


@contextlib.contextmanager
def named(path: str | os.PathLike[str], overrides: Iterable[str]) -> Iterator[None]:
    """Adds the file and the overrides concerned to errors about a config's values.

    Args:
        path: The config file.
        overrides: The changes made to it.

    Raises:
        ConfigError: The error raised inside, with its source.
    """
    try:
        yield
    except ConfigError as error:
        if error.source:
            raise
        changed = [short(each) for each in overrides if _concerns(each, error.where)]
        source = " with --set ".join([os.fspath(path), *changed])
        raise ConfigError(error.where, error.problem, source) from error


def _concerns(override: str, where: str) -> bool:
    """Whether an override changes a key, a key inside it, or one that contains it."""
    paths = override.partition("=")[0].strip(), where
    one, other = (re.findall(r"[^.\[\]]+", path) for path in paths)
    return all(x == y for x, y in zip(one, other, strict=False))


def _texts(overrides: Iterable[str]) -> list[str]:
    is_list = isinstance(overrides, Iterable) and not isinstance(overrides, str | bytes)
    result = list(overrides) if is_list else []
    if not is_list or not all(isinstance(each, str) for each in result):
        raise ConfigError(
            "overrides",
            f"expected a list of texts such as 'training.epochs=5'; got "
            f"{shown(overrides)}.",
        )
    return result


def _require_shallow(content: Any) -> None:
    """Refuses data nested so deep that the recursive checks would overflow."""
    level = [content]
    for _ in range(_MAX_DEPTH):
        # Visit each object once: shared references can stand for billions of values.
        nested = {id(each): each for each in level if isinstance(each, dict | list)}
        level = [
            inner
            for each in nested.values()
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise ConfigError("", f"nested more than {_MAX_DEPTH} deep.")


def save_config(
    config: Config,
    path: str | os.PathLike[str],
    *,
    folder: str | os.PathLike[str] | None = None,
) -> None:
    """Writes a config with every default filled in; `load_config` reads it back.

    For each data file, it holds the path relative to the config and the absolute path,
    so that `load_config` finds the data if the folder was moved, with or without it.

    Args:
        config: The config.
        path: The file to write.
        folder: The folder that the file will be moved to, if any.

    Raises:
        OSError: The file cannot be written.
    """
    content = config.model_dump()
    start = os.path.abspath(folder or os.path.dirname(path))
    for key in ("train", "test"):
        if (place := content["data"][key]) is not None:
            content["data"][key] = [os.path.relpath(place, start), place]
    yaml_file.write(content, path)


def _explain(problem: Mapping[str, Any]) -> ConfigError:
    """Converts one of pydantic's errors to a `ConfigError`."""
    location, got = problem["loc"], problem["input"]
    where = "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in location)[1:]
    cause = problem.get("ctx", {}).get("error")
    match problem["type"]:
        case "value_error" if isinstance(cause, ConfigError):
            return ConfigError(where + cause.where, cause.problem)
        case "value_error":
            return ConfigError(where, str(cause))
        case "extra_forbidden":
            known = did_you_mean(location[-1], _keys_at(location[:-1]))
            return ConfigError(where, f"there is no such key. {known}")
        case "missing":
            return ConfigError(where, "missing; the config needs it.")
        case "model_type" | "dict_type" | "invalid_key":
            return ConfigError(where, f"expected keys and values; got {shown(got)}.")
    expected = _EXPECTED.get(problem["type"]) or problem["msg"]
    expected = expected.removeprefix("Input should be ")
    return ConfigError(where, f"expected {expected}; got {shown(got)}.")


def _keys_at(location: tuple[str | int, ...]) -> list[str]:
    section: type[pydantic.BaseModel] = Config
    for key in location:
        field = section.model_fields[str(key)]
        section = typing.cast("type[pydantic.BaseModel]", field.annotation)
    return list(section.model_fields)
