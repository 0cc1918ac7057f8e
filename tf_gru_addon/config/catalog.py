"""Classes that a config names, with arguments: `{GRU: {units: 64}}`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tf_gru_addon.config.errors import ConfigError, refused, short, shown
from tf_gru_addon.config.kinds import Kind
from tf_gru_addon.errors import did_you_mean


@dataclass(frozen=True, eq=False)
class Catalog:
    """A fixed set of classes that a config can name, with the kinds of their arguments.

    Attributes:
        what: What the classes are, for errors: "layer".
        names: By name in the config, a function that returns the class.
        arguments: Returns the kinds of the arguments, by name. A class takes those that
            its constructor has; a config cannot give an argument that is not listed.
        hints: By name, why a class is deliberately not in the catalog.
    """

    what: str
    names: Mapping[str, Callable[[], type]]
    arguments: Callable[[], Mapping[str, Kind]]
    hints: Mapping[str, str]

    def check(self, value: Any, where: str) -> dict[str, dict[str, Any]]:
        """Returns a value of the config as `{name: {argument: value}}`.

        Args:
            value: `Name` or `{Name: {argument: value}}`.
            where: The key of the value, for errors.

        Raises:
            ConfigError: The name, an argument's name or its value is not allowed.
        """
        name, given = self._split(value, where)
        where = f"{where}.{name}"
        signature = self.signature(name)
        checked: dict[str, Any] = {}
        for key, argument in given.items():
            if key not in signature:
                known = did_you_mean(key, signature)
                raise ConfigError(
                    f"{where}.{key}", f"{name} has no such argument here. {known}"
                )
            kind, parameter = signature[key]
            if argument is None and parameter.default is None:
                checked[key] = None
            else:
                checked[key] = kind.check(argument, f"{where}.{key}")
        for key, (_, parameter) in signature.items():
            if parameter.default is parameter.empty and key not in checked:
                raise ConfigError(f"{where}.{key}", f"missing; {name} needs it.")
        return {name: checked}

    def make(self, value: Any, where: str) -> Any:
        """Returns the object that a checked value describes.

        Args:
            value: The value, as `check` returns it.
            where: The key of the value, for errors.

        Raises:
            ConfigError: The class refuses the arguments.
        """
        ((name, given),) = value.items()
        where = f"{where}.{name}"
        signature = self.signature(name)
        arguments = {
            key: None
            if argument is None
            else signature[key][0].make(argument, f"{where}.{key}")
            for key, argument in given.items()
        }
        with refused(where, f"{name} refuses its arguments"):
            return self.names[name]()(**arguments)

    @functools.cache  # noqa: B019  (catalogs are never freed)
    def signature(self, name: str) -> dict[str, tuple[Kind, inspect.Parameter]]:
        """Returns the kind and the parameter of each argument of a class."""
        kinds = self.arguments()
        taken = inspect.signature(self.names[name]()).parameters
        return {key: (kinds[key], taken[key]) for key in taken if key in kinds}

    def _split(self, value: Any, where: str) -> tuple[str, dict[str, Any]]:
        given: Any
        if isinstance(value, str):
            name, given = value, {}
        elif isinstance(value, dict) and len(value) == 1:
            ((name, given),) = value.items()
            given = {} if given is None else given
        else:
            raise ConfigError(
                where,
                f"expected one {self.what}, as `Name` or "
                f"`{{Name: {{argument: value}}}}`; got {shown(value)}.",
            )
        if name not in self.names:
            hint = self.hints.get(name) or did_you_mean(name, self.names)
            raise ConfigError(
                where, f"a config cannot name the {self.what} {short(name)}. {hint}"
            )
        if not isinstance(given, dict):
            raise ConfigError(
                f"{where}.{name}",
                f"expected arguments, as `{{argument: value}}`; got {shown(given)}.",
            )
        return name, given
