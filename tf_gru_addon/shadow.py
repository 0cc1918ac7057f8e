"""A private copy of a model that shares the model's weights.

An export and a stream change the layers that they trace: a `keras.layers.GRU` becomes
this package's, for example. They do so on a shadow. The user's own model is only read,
so it can predict in one thread while another exports it.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any, TypeVar

import keras
import numpy as np

from tf_gru_addon._compat import TrackableReference, is_graph_object, layers_of

Layer = TypeVar("Layer", bound=keras.layers.Layer)


def shadow(layer: Layer) -> Layer:
    """Returns a copy of a layer or model that shares its weights.

    The copy has the same class and the same attributes. Its layers, its lists and dicts
    of layers and a model's graph of calls are copies too. Weights, initializers,
    optimizers and everything else are the same objects. The states of stateful layers
    are new variables with the current values, because running the copy changes them.

    A layer inside an object that is neither a layer nor a container, for example in a
    closure, is not copied.

    Args:
        layer: A built layer or model. It is only read.
    """
    shadows = _Shadows()
    for each in (layer, *layers_of(layer)):
        states = getattr(each, "states", None)
        if isinstance(each, keras.layers.RNN) and states is not None:
            for state in keras.tree.flatten(states):
                shadows.put(state, _own_variable(state))
    result = shadows.of(layer)
    for each in (result, *layers_of(result)):
        # Inference does not use its loss, which would stay in an exported graph.
        vars(each)["activity_regularizer"] = None
        if hasattr(each, "_begin_masks"):
            each._begin_masks()  # A cell keeps dropout masks from call to call.
    return result


def _own_variable(state: keras.Variable) -> keras.Variable:
    value = np.array(state)
    return keras.Variable(value, dtype=state.dtype, trainable=False, name=state.name)


class _Shadows:
    """The copies made so far, by the identity of the originals."""

    def __init__(self) -> None:
        self._copies: dict[int, Any] = {}

    def put(self, original: Any, shadow: Any) -> None:
        """Sets the copy of an object."""
        self._copies[id(original)] = shadow

    def of(self, value: Any) -> Any:
        """Returns the copy of an object, complete with its attributes."""
        self._unfilled: list[tuple[Any, Any]] = []
        result = self._copy(value)
        # A list instead of recursion: a model may be deeper than Python's stack.
        while self._unfilled:
            self._fill(*self._unfilled.pop())
        return result

    def _copy(self, value: Any) -> Any:
        """Returns the copy of an object, which may still lack its attributes."""
        if id(value) in self._copies:
            return self._copies[id(value)]
        kind = value.__class__  # TensorFlow's wrappers have the class of the container
        if isinstance(value, tuple):
            items = [self._copy(each) for each in tuple(value)]
            return kind(*items) if hasattr(kind, "_fields") else tuple(items)
        if isinstance(value, TrackableReference):
            return kind(value.name, self._copy(value.ref))
        if is_graph_object(value):
            result = object.__new__(kind)
            self._unfilled.append((value, result))
        elif isinstance(value, list | set):
            result = [] if isinstance(value, list) else set()
            self.put(value, result)
            add = result.append if isinstance(result, list) else result.add
            for each in list(value):
                add(self._copy(each))
        elif isinstance(value, dict):
            # Other classes may add behaviour, as `defaultdict` does.
            plain = kind in (dict, OrderedDict) or kind.__module__.startswith("keras.")
            result = {} if plain else copy.copy(value)
            self.put(value, result)
            result.update({key: self._copy(each) for key, each in list(value.items())})
        else:
            return value
        self.put(value, result)
        return result

    def _fill(self, original: Any, result: Any) -> None:
        # This avoids the layer's __setattr__, which tracks and checks values.
        for name, value in vars(original).copy().items():
            # Keras wraps some methods, such as `build`, for each object.
            wrapped = getattr(value, "__wrapped__", None)
            if getattr(wrapped, "__self__", None) is not original:
                vars(result)[name] = self._copy(value)
