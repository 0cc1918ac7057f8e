"""A config file, its overrides, and what is wrong with them."""

from __future__ import annotations

import os
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from tf_gru_addon.config.errors import ConfigError, did_you_mean, shown
from tf_gru_addon.config.extras import missing_extra
from tf_gru_addon.config.overrides import apply_override

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
            where, what was expected and what was received.

    Example:
        >>> config = load_config("configs/tiny.yaml", ["training.epochs=1"])
        >>> config.training.epochs
        1
    """
    content = yaml_file.read(path)
    for override in overrides:
        apply_override(content, override)
    return parse_config(content, source=str(path))


def parse_config(content: Mapping[str, Any], *, source: str = "config") -> Config:
    """Makes a config from plain data.

    Args:
        content: sections by name, as a config file has them.
        source: what to call the data in an error.

    Raises:
        ConfigError: a key or value is wrong.
    """
    _require_shallow(content, source)
    try:
        return Config.model_validate(content)
    except pydantic.ValidationError as error:
        problems = [_explain(problem) for problem in error.errors()]
    if len(problems) == 1:
        raise problems[0]
    lines = "".join(f"\n  {problem}" for problem in problems)
    raise ConfigError(source, f"{len(problems)} problems:{lines}")


def _require_shallow(content: Any, source: str) -> None:
    """Refuses sections within sections without end; the checks call themselves."""
    level = [content]
    for _ in range(_MAX_DEPTH):
        parts = [part for part in level if isinstance(part, dict | list)]
        level = [
            inner
            for part in parts
            for inner in (part.values() if isinstance(part, dict) else part)
        ]
        if not level:
            return
    raise ConfigError(source, f"nested more than {_MAX_DEPTH} deep.")


def save_config(config: Config, path: str | os.PathLike) -> None:
    """Writes a config with every default filled in; `load_config` reads it back.

    Raises:
        OSError: the file cannot be written.
    """
    yaml_file.write(config.model_dump(), path)


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
