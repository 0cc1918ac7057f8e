"""Pairs the GRUs of a file to bidirectional layers, by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tf_gru_addon.weights.arrays import natural
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_layer import GRULayer
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.weights_file import ACTIVATIONS, WeightsFile

Ways = tuple[GRUWeights | None, GRUWeights | None]

#: The names of the two directions in paths of Keras and TensorFlow 1.
_WAYS = {
    "forward": "forward",
    "backward": "backward",
    "fw": "forward",
    "bw": "backward",
}
_WAY = re.compile(r"(?:^|/)(?:(?:forward|backward)(?=_)|(?:fw|bw)(?=/))")


class FoundGRU(NamedTuple):
    """A GRU in a file.

    Attributes:
        weights: Its weights.
        activation: Its activation; None if the file does not state it.
        recurrent_activation: Its recurrent activation; None if the file does not state
            it.
        backwards: Whether it runs backwards; None if only its name can show it.
    """

    weights: GRUWeights
    activation: str | None = None
    recurrent_activation: str | None = None
    backwards: bool | None = None


def weights_file(form: str, grus: Mapping[str, FoundGRU]) -> WeightsFile:
    """Returns the content of a file, sorted naturally by name.

    Two GRUs whose names differ only in the direction become one bidirectional layer,
    named by what precedes the direction. If their sizes or activations differ, or if
    there are more than two, as in a stack of cells per direction, each becomes a layer.

    Args:
        form: The format's name.
        grus: The GRUs by name.
    """
    pairs: dict[str, dict[str, list[str]]] = {}
    for name in grus:
        found = _WAY.search(name)
        way = _WAYS[found[0].lstrip("/")] if found else "forward"
        scope = name[: found.start()] if found else name
        pair = pairs.setdefault(scope, {"forward": [], "backward": []})
        pair[way].append(name)
    stacks, unstated = {}, {}
    for scope, pair in pairs.items():
        for name, gru, ways in _layers(scope, pair, grus):
            if name in stacks:
                raise WeightsError(f"two GRUs have the name {name!r}.")
            kinds = {key: getattr(gru, key) for key in ACTIVATIONS}
            stated = {key: kind for key, kind in kinds.items() if kind is not None}
            stacks[name] = (GRULayer(*ways, **stated),)
            unstated[name] = tuple(key for key in ACTIVATIONS if key not in stated)
    order = sorted(stacks, key=natural)
    return WeightsFile(
        form,
        {name: stacks[name] for name in order},
        {name: unstated[name] for name in order if unstated[name]},
    )


def _layers(
    scope: str, pair: Mapping[str, list[str]], grus: Mapping[str, FoundGRU]
) -> Iterator[tuple[str, FoundGRU, Ways]]:
    """Yields name, GRU and directions of each layer of one scope."""
    both = _pair(*([grus[name] for name in names] for names in pair.values()))
    if both is not None:
        yield scope or "gru", grus[pair["forward"][0]], both
        return
    alone = len(pair["forward"]) + len(pair["backward"]) == 1 and scope not in grus
    for way, names in pair.items():
        for name in names:
            gru = grus[name]
            backwards = gru.backwards
            if backwards is None:
                backwards = way == "backward"
            ways = (None, gru.weights) if backwards else (gru.weights, None)
            yield (scope if alone else name) or "gru", gru, ways


def _pair(forward: list[FoundGRU], backward: list[FoundGRU]) -> Ways | None:
    """Returns the weights of a bidirectional layer, if the GRUs form one."""
    if len(forward) != 1 or len(backward) != 1:
        return None
    one, other = forward[0], backward[0]
    if one[1:3] != other[1:3] or one.backwards or other.backwards is False:
        return None
    try:
        GRULayer(one.weights, other.weights)
    except WeightsError:
        return None
    return one.weights, other.weights
