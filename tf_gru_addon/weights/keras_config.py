"""What the config of a Keras model states about its GRUs.

A whole-model file contains the config beside the arrays. The config determines the
group of a GRU's arrays:

    .keras  the path of attributes; the members of a list are named by their classes:
            layers/bidirectional/forward_layer, without the cell
    .h5     the name of the outermost layer, then those of the layers inside it:
            model_weights/encoder/encoder/forward_gru/gru_cell
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tf_gru_addon.weights.activation_names import name_in_config
from tf_gru_addon.weights.errors import WeightsError

_GRUS = ("GRU", "GRUCell", "CuDNNGRU")


@dataclass(frozen=True)
class StatedGRU:
    """What a config states about one GRU, or what it states alike about several.

    Attributes:
        path: The group of its arrays in a `.keras` file, without "/cell" at the end.
        layer: The name of the outermost layer that contains it, below the model.
        names: Its own name and the names of the layers that contain it.
        units: The size of its state.
        reset_after: The convention; None if unknown.
        backwards: Whether it runs from the last timestep to the first; None if unknown.
        activation: The activation of the candidate; None if unknown.
        recurrent_activation: The activation of the gates; None if unknown.
    """

    path: str
    layer: str
    names: frozenset[str]
    units: Any
    reset_after: bool | None
    backwards: bool | None
    activation: str | None
    recurrent_activation: str | None


def stated_grus(text: Any, keras_version: Any) -> list[StatedGRU]:
    """Returns the GRUs of a config.

    Args:
        text: The config, as JSON.
        keras_version: The version of Keras that wrote it, as stored in the file; None
            in files of the first versions.

    Raises:
        WeightsError: The text is not a JSON object.
    """
    config = json_object(text, "the model's config")
    if isinstance(keras_version, bytes):
        keras_version = keras_version.decode("utf-8", "replace")
    keras_3 = str(keras_version or "1").partition(".")[0] not in ("1", "2")
    return [_stated(place, keras_3) for place in _places(config)]


def json_object(text: Any, what: str) -> dict[str, Any]:
    """Parses a JSON object.

    Args:
        text: The text, or its bytes.
        what: What the text is, for the error: "the model's config".

    Raises:
        WeightsError: It is not a JSON object.
    """
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise WeightsError(f"{what} is not JSON ({error}).") from error
    if not isinstance(value, dict):
        raise WeightsError(
            f"{what} must be a JSON object; received a {type(value).__name__}."
        )
    return value


@dataclass(frozen=True)
class _Place:
    """An entry of a config, and its context."""

    entry: Mapping[str, Any]
    path: str = ""
    names: tuple[str, ...] = ()
    prefix: str = ""  # that Bidirectional puts before its name
    backwards: bool = False  # whether its context makes it run backwards

    @property
    def kind(self) -> str:
        return str(self.entry["class_name"]).rpartition(">")[2]

    @property
    def config(self) -> Mapping[str, Any]:
        config = self.entry.get("config")
        if isinstance(config, list):  # Sequential, before Keras 2.2.3
            return {"layers": config}
        return config if isinstance(config, dict) else {}

    @property
    def own_names(self) -> list[str]:
        """Its name, and the names that Bidirectional makes of it."""
        name = str(self.config.get("name") or self.entry.get("name") or "")
        if not self.prefix or name.startswith(self.prefix):
            return [name]
        # In some configs, this is already the name of the forward layer.
        plain = name.removeprefix("forward_")
        names = [self.prefix + name, self.prefix + plain]
        return names if name != plain else [name, *names]


def _places(config: Any) -> Iterator[_Place]:
    """Yields the places of a config's GRUs, in the order of the config."""
    pending = [_Place(config)] if _is_entry(config) else []
    while pending:
        place = pending.pop()
        if place.kind in _GRUS:
            yield place
        else:
            pending += reversed(list(_inner(place)))


def _is_entry(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("class_name"), str)


def _inner(place: _Place) -> Iterator[_Place]:
    """Yields the entries in a layer's or a model's config."""
    backwards = place.backwards != bool(place.config.get("go_backwards"))
    names = (*place.names, *place.own_names)
    both = place.kind == "Bidirectional"
    for key, value in place.config.items():
        if _is_entry(value) and both and key == "layer":
            path = f"{place.path}/forward_layer"
            yield _Place(value, path, names, "forward_", backwards)
            if not _is_entry(place.config.get("backward_layer")):
                path = f"{place.path}/backward_layer"
                yield _Place(value, path, names, "backward_", not backwards)
        elif _is_entry(value):
            prefix = "backward_" if key == "backward_layer" else ""
            yield _Place(value, f"{place.path}/{key}", names, prefix, backwards)
        elif isinstance(value, list):
            counts: dict[str, int] = {}
            for each in filter(_is_entry, value):
                inner = _Place(each, "", names, "", backwards)
                kind = snake_case(inner.kind)
                index = counts[kind] = counts.get(kind, -1) + 1
                path = f"{place.path}/{key}/{kind}" + (f"_{index}" if index else "")
                yield _Place(each, path, names, "", backwards)


def snake_case(kind: str) -> str:
    """Returns a class name as Keras writes it in paths: gru_cell for GRUCell."""
    kind = re.sub(r"\W", "", {"Model": "Functional"}.get(kind, kind))
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()


def plain_path(path: str) -> str:
    r"""Returns a path in a `.keras` file in the form that Keras 2.14 and later write.

    Keras 2.12 and 2.13 named the layers `_layer_checkpoint_dependencies`, and counted
    each layer that has weights twice. On Windows, the separator was a backslash.

    Example:
        >>> from tf_gru_addon.weights.keras_config import plain_path
        >>> plain_path(r"_layer_checkpoint_dependencies\gru_2\cell")
        'layers/gru_1/cell'
    """
    parts = path.replace("\\", "/").split("/")
    for index, part in enumerate(parts):
        if index and parts[index - 1] == "_layer_checkpoint_dependencies":
            name, _, number = part.rpartition("_")
            if number.isdecimal() and len(number) < 9:
                half = int(number) // 2
                parts[index] = f"{name}_{half}" if half else name
            parts[index - 1] = "layers"
    return "/".join(parts)


def _stated(place: _Place, keras_3: bool) -> StatedGRU:
    config = place.config
    cudnn = place.kind == "CuDNNGRU"
    registered = (place.entry.get(key) for key in ("class_name", "registered_name"))
    ours = any(str(name).startswith("tf_gru_addon>") for name in registered)
    names = [*place.names, *place.own_names]
    inner = config.get("inner_activation")  # Keras 1's name for it
    given = {
        "activation": config.get("activation", "tanh" if cudnn else ...),
        "recurrent_activation": config.get(
            "recurrent_activation", inner or ("sigmoid" if cudnn else ...)
        ),
    }
    return StatedGRU(
        path=place.path.lstrip("/").removesuffix("/cell"),
        layer=names[1] if len(names) > 1 else names[0],
        names=frozenset(names[1:]),
        units=config.get("units", config.get("output_dim")),
        # A config without the key predates it: the reset gate came before the product.
        reset_after=cudnn or bool(config.get("reset_after", False)),
        backwards=place.backwards != bool(config.get("go_backwards")),
        **{
            key: name_in_config(value, keras_3=keras_3, ours=ours)
            for key, value in given.items()
        },
    )


def match(
    units: Mapping[str, int], stated: Iterable[StatedGRU]
) -> dict[str, StatedGRU]:
    """Assigns what a config states to the GRUs whose arrays a file holds.

    Args:
        units: The units of each GRU, by the group of its arrays.
        stated: The GRUs of the config.

    Returns:
        What is stated, by group. If several GRUs of the config fit a group, the
        attributes in which they differ are None. Groups that none fits are absent.
    """
    by_path: dict[str, StatedGRU] = {}
    by_layer: dict[str, list[StatedGRU]] = {}
    for each in stated:
        by_path[each.path] = each
        by_layer.setdefault(each.layer, []).append(each)
    found = {}
    inside: dict[str, list[str]] = {}
    for name, size in units.items():
        if name in by_path and by_path[name].units == size:
            found[name] = by_path[name]
        elif layer := _outermost(name, by_layer):
            inside.setdefault(layer, []).append(name)
    for layer, names in inside.items():
        if len(names) * len(by_layer[layer]) > _MOST:
            continue
        for name in names:
            alike = _named(name, by_layer[layer], len(names))
            if alike := [each for each in alike if each.units == units[name]]:
                found[name] = _common(alike)
    return found


#: The limit of comparisons per layer; real models need far fewer.
_MOST = 1_000_000


def _outermost(name: str, layers: Container[str]) -> str | None:
    """Returns the layer that contains a group of a whole-model file."""
    root, *parts = name.split("/")
    if root != "model_weights":
        return None
    ends = range(len(parts), 0, -1)  # a layer's name can have slashes
    return next((x for end in ends if (x := "/".join(parts[:end])) in layers), None)


def _named(name: str, stated: list[StatedGRU], beside: int) -> list[StatedGRU]:
    """Returns the GRUs of one layer's config that fit a group's name best.

    Args:
        name: The group.
        stated: The GRUs of the layer's config.
        beside: The number of GRUs that the file holds in this layer.
    """
    parts = set(name.split("/"))
    scores = [len(each.names & parts) for each in stated]
    # If only the layer's name matches, the GRU may be one that the config omits.
    if max(scores) < 2 and beside != len(stated):
        return []
    return [each for each, n in zip(stated, scores, strict=True) if n == max(scores)]


def _common(grus: list[StatedGRU]) -> StatedGRU:
    """Returns what several GRUs agree on, and None for the rest."""
    values = {
        key: {getattr(each, key) for each in grus}
        for key in ("reset_after", "backwards", "activation", "recurrent_activation")
    }
    common = {k: v.pop() if len(v) == 1 else None for k, v in values.items()}
    first = grus[0]
    return StatedGRU(first.path, first.layer, first.names, first.units, **common)
