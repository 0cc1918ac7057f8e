"""Changes to a config from the command line: `training.epochs=5`."""

from __future__ import annotations

import re
from typing import Any

from tf_gru_addon.config.errors import ConfigError, short, shown

_MAX_DIGITS = 9
_STEP = re.compile(r"\.?(?P<key>[^.\[\]=]+)|\[(?P<index>\d+)\]")


def apply_override(content: dict[str, Any], override: str) -> None:
    """Makes one change to the plain data of a config, in place.

    Args:
        content: what the config file says.
        override: `key.path=value`. The path is as in an error message, entries of a
            list by number: `model.layers[0].GRU.units`, or `model.layers.0.GRU.units`.
            The value is read as YAML.

    Raises:
        ConfigError: there is no `=`, the path cannot be followed, or the value is not
            YAML.

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
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        step = _fitting(place, step, path)
        if following is None:
            place[step] = value
            return
        if isinstance(place, dict) and place.get(step) is None:
            place[step] = {}  # a section that the file leaves to its defaults
        place = place[step]


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


def _fitting(place: Any, step: str, path: str) -> str | int:
    """Returns the key or index by which `place` is entered."""
    if isinstance(place, dict):
        return step
    if isinstance(place, list):
        # Python refuses to read thousands of digits as a number.
        if step.isdecimal() and len(step) <= _MAX_DIGITS and int(step) < len(place):
            return int(step)
        last = len(place) - 1
        raise ConfigError(
            path, f"expected the number of an entry, 0..{last}; got {short(step)}."
        )
    raise ConfigError(
        path, f"cannot follow {short(step)}: what stands before it is {shown(place)}."
    )
