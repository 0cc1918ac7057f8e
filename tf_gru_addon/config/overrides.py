"""Overrides: changes to a config such as `training.epochs=5`."""

from __future__ import annotations

import re
from typing import Any

from tf_gru_addon.config.errors import ConfigError, short, shown

_MAX_DIGITS = 9
_STEP = re.compile(r"\.?(?P<key>[^.\[\]=]+)|\[(?P<index>\d+)\]")


def apply_override(content: dict[str, Any], override: str) -> None:
    """Applies one override to the plain data of a config, in place.

    Args:
        content: The content of the config file.
        override: `key.path=value`. The path has the form that error messages use, with
            list entries by index: `model.layers[0].GRU.units` or
            `model.layers.0.GRU.units`. The value is YAML.

    Raises:
        ConfigError: There is no `=`, the path leads nowhere, or the value is not YAML.

    Example:
        >>> content = {"training": {"epochs": 60}}
        >>> apply_override(content, "training.epochs=5")
        >>> content
        {'training': {'epochs': 5}}
    """
    from tf_gru_addon.config import yaml_file

    path, equals, text = override.partition("=")
    path = path.strip()
    if not equals:
        raise ConfigError(override, "expected `key.path=value`; there is no `=`.")
    steps = _steps(path)
    try:
        value = yaml_file.parse(text)
    except ConfigError as error:
        raise ConfigError(
            path, f"cannot read the value {short(text)}: {error}"
        ) from error
    place: Any = content
    for step in steps[:-1]:
        key = _key(place, step, path)
        if isinstance(place, dict) and place.get(key) is None:
            place[key] = {}  # a section that the file leaves out
        place = place[key]
    place[_key(place, steps[-1], path)] = value


def _steps(path: str) -> list[str]:
    steps, end = [], 0
    while match := _STEP.match(path, end):
        steps.append(match["key"] or match["index"])
        end = match.end()
    if not steps or end < len(path) or path.startswith("."):
        raise ConfigError(
            path or "=", "expected a path such as `training.epochs` before the `=`."
        )
    return steps


def _key(place: Any, step: str, path: str) -> str | int:
    """Returns the key of a dict, or the index of a list, that a step stands for."""
    if isinstance(place, dict):
        return step
    if isinstance(place, list):
        # Python limits the number of digits that `int` reads.
        if step.isdecimal() and len(step) <= _MAX_DIGITS and int(step) < len(place):
            return int(step)
        last = len(place) - 1
        raise ConfigError(
            path, f"expected the index of an entry, 0..{last}; got {short(step)}."
        )
    raise ConfigError(path, f"there is no {short(step)} in {shown(place)}.")
