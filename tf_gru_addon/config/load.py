"""A config file, its overrides, and what is wrong with them."""

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

# Wrappers within wrappers take two levels each; no model has ten of them.
_MAX_DEPTH = 50
# What pydantic expects, by the type of its error, where its own words are not ours.
_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "too_short": "a list with at least 1 entry",
    "too_long": f"a list with at most {MAX_LAYERS} entries",
}


def load_config(path: str | os.PathLike, overrides: Iterable[str] = ()) -> Config:
    """Reads a config file.

    Args:
        path: a YAML file.
        overrides: changes to make first, as `key.path=value` with the value in YAML:
            `"training.epochs=5"`, `"model.layers[0].GRU.units=32"`.

    Returns:
        The config, checked to the last argument of the last layer.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: the file is not YAML, or a key or value is wrong; the message says
            in which file or override and where, what was expected and what was
            received.

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
    content: Mapping[str, Any], *, folder: str | os.PathLike = ""
) -> Config:
    """Makes a config from plain data.

    Args:
        content: sections by name, as a config file has them.
        folder: where relative paths of data start, before the current directory.

    Raises:
        ConfigError: a key or value is wrong.
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
def named(path: str | os.PathLike, overrides: Iterable[str]) -> Iterator[None]:
    """Names the file, and the overrides concerned, in errors about a config's values.

    Args:
        path: the config file.
        overrides: the changes made to it.

    Raises:
        ConfigError: the error, with its source.
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
    """Tells whether an override is about a place, what is in it, or what it is in."""
    paths = override.partition("=")[0].strip(), where
    one, other = (re.findall(r"[^.\[\]]+", path) for path in paths)
    return all(x == y for x, y in zip(one, other, strict=False))


def _texts(overrides: Iterable[str]) -> list[str]:
    is_list = isinstance(overrides, Iterable) and not isinstance(overrides, str | bytes)
    result = list(overrides) if is_list else [None]
    if not all(isinstance(each, str) for each in result):
        raise ConfigError(
            "overrides",
            f"expected a list of texts such as 'training.epochs=5'; got "
            f"{shown(overrides)}.",
        )
    return result


def _require_shallow(content: Any) -> None:
    """Refuses sections within sections without end; the checks call themselves."""
    level = [content]
    for _ in range(_MAX_DEPTH):
        # Each once: a few parts that hold each other many times stand for billions.
        parts = {id(part): part for part in level if isinstance(part, dict | list)}
        level = [
            inner
            for part in parts.values()
            for inner in (part.values() if isinstance(part, dict) else part)
        ]
        if not level:
            return
    raise ConfigError("", f"nested more than {_MAX_DEPTH} deep.")


def save_config(
    config: Config,
    path: str | os.PathLike,
    *,
    folder: str | os.PathLike | None = None,
) -> None:
    """Writes a config with every default filled in; `load_config` reads it back.

    It has both paths of a data file, from its own folder and the absolute one, so that
    it is read back where the folder was moved, with the data or without.

    Args:
        config: the config.
        path: the file to write.
        folder: the folder that the file is moved to afterwards, if any.

    Raises:
        OSError: the file cannot be written.
    """
    content = config.model_dump()
    folder = os.path.abspath(folder or os.path.dirname(path))
    for key in ("train", "test"):
        if (place := content["data"][key]) is not None:
            content["data"][key] = [os.path.relpath(place, folder), place]
    yaml_file.write(content, path)


def _explain(problem: Mapping[str, Any]) -> ConfigError:
    """Returns the error of this package for one of pydantic's."""
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
    section = Config
    for key in location:
        section = typing.cast("type[Config]", section.model_fields[key].annotation)
    return list(section.model_fields)
