"""One layer's entry in the config of a model."""

from __future__ import annotations

import dataclasses
from typing import Any

from tf_gru_addon.migrate.legacy.errors import expect

#: Where Keras' own classes have come from, over its versions.
_OWN = ("builtins", "keras", "tf_keras", "tensorflow")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One layer, or one model, in the config of a model; as Keras 2 has it.

    Attributes:
        kind: Its class.
        name: Its name.
        config: Its config.
        inbound: Its calls in a functional model.
        is_of_keras: Whether it claims to be a class of Keras itself.
    """

    kind: str
    name: str
    config: dict[str, Any]
    inbound: list[Any]
    is_of_keras: bool

    @classmethod
    def read(cls, value: Any, what: str) -> Entry:
        """Returns the entry of a JSON object.

        Raises:
            LegacyModelError: It is none.
        """
        expect(value, dict, what)
        kind = expect(value.get("class_name"), str, f"{what}: class_name")
        config = value.get("config")
        if isinstance(config, list):  # Sequential, before Keras 2.2.3
            config = {"layers": config}
        expect(config, dict, f"{what}: config")
        name = config.get("name") or value.get("name") or kind.lower()
        expect(name, str, f"{what}: name")
        module = str(value.get("module") or "builtins").partition(".")[0]
        registered = value.get("registered_name") or kind
        inbound = expect(
            value.get("inbound_nodes") or [], list, f"{name}: inbound_nodes"
        )
        own = module in _OWN and registered == kind
        return cls(kind, name, config, inbound, own)

    @property
    def where(self) -> str:
        """The layer, for messages."""
        return f"layer {self.name!r} ({self.kind})"

    @property
    def trainable(self) -> bool:
        """Whether it is trained."""
        return bool(self.config.get("trainable", True))

    def the(self, key: str) -> Entry:
        """Returns the entry of the one layer that it holds under `key`."""
        return Entry.read(self.config.get(key), f"{self.where}: {key}")

    def within(self, key: str) -> list[Entry]:
        """Returns the entries of the layers that it holds under `key`."""
        value = self.config.get(key)
        if value is None:
            return []
        items = value if isinstance(value, list) else [value]
        return [Entry.read(item, f"{self.where}: {key}") for item in items]
