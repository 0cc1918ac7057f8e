"""One line that makes an existing model fast."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from tf_gru_addon._compat import running_trainer, sublayers
from tf_gru_addon.errors import without_colours
from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.layers.gru_cell import GRUCell
from tf_gru_addon.layers.in_place import become_gru
from tf_gru_addon.migrate.acceleration import Acceleration
from tf_gru_addon.ops import gru_step
from tf_gru_addon.verify import Arrays, Comparison, compare_outputs, outputs, rounding


def accelerate(model: keras.layers.Layer, inputs: Any = None) -> Acceleration:
    """Replaces the GRU layers of a model by this package's, in place.

    A `keras.layers.GRU`, or a `keras.layers.RNN` of a `GRUCell`, becomes a
    `tf_gru_addon.GRU`. The model and its layers stay the same objects. The layers may
    be nested or shared, in a functional, sequential or subclassed model, in
    `Bidirectional` or `TimeDistributed`. Weights, names, initializers, regularizers,
    constraints, dtype policies, `trainable` flags, states and the optimizer of a
    compiled model with its variables are kept, so there is nothing to compile or load
    again. Save the model first if you need the original too.

    Some layers are kept, and the result gives the reason for each: subclasses of Keras'
    GRU and its cell, whose call may differ; stacked cells; a cell that the model steps
    itself; a layer with an activation that no engine speeds up; any layer whose outputs
    would change. Layers that Keras does not track, for example in a closure, are not
    found.

    Each replaced layer is compared with the original on random sequences, with and
    without a mask. Then the whole model is compared in inference, on `inputs` or on
    random ones. They may differ by what rounding explains. States and seeds are
    restored afterwards.

    Dropout draws other random numbers than Keras' layers do, at the same rates. Older
    `.weights.h5` files still load, unless the model holds a `keras.layers.RNN`: Keras
    finds it by its class name. Your own `tf.function`s, and models around this one,
    keep what they have traced.

    Args:
        model: A built Keras 3 model or layer. It is changed.
        inputs: The argument to call the model with for the comparison. None takes
            random inputs if the model declares its inputs; a subclassed model does not.

    Returns:
        The replaced and the kept layers. `print` shows a report.

    Raises:
        TypeError: `model` is not a Keras 3 layer.
        ValueError: `model` is not built, or does not run on `inputs`.
        RuntimeError: `fit`, `evaluate` or `predict` of the model is running, for
            example when a callback calls this function. Or the outputs of the model
            change although those of every layer agree, for example because it checks
            the class of a layer; then the model is restored.

    Example:
        >>> import keras
        >>> import tf_gru_addon
        >>> model = keras.Sequential()
        >>> model.add(keras.Input((None, 12)))
        >>> model.add(keras.layers.GRU(8, return_sequences=True, name="first"))
        >>> model.add(keras.layers.LSTM(8, name="second"))
        >>> report = tf_gru_addon.accelerate(model)
        >>> list(report.replaced)
        ['first']
        >>> report.kept
        {'second': 'it is no GRU'}
        >>> type(model.layers[0]) is tf_gru_addon.GRU
        True
    """
    _check_model(model)
    places = _places(model)
    layers = [place.layer for place in places]
    if running := running_trainer(layers):
        raise RuntimeError(
            f"{running} is running, with functions that it has traced from the layers "
            "as they are. Call accelerate before it, or after it returns."
        )
    kept = {p.path: why for p in places if (why := _why_not(p, places))}
    chosen = [p for p in places if _is_rnn(p.layer) and p.path not in kept]
    errors = []
    # Everything is undone unless all of it succeeds.
    with outputs.without_dropout(layers), contextlib.ExitStack() as undo:
        trial = _Trial.of(model, layers, inputs) if chosen else None
        for place in chosen:
            try:
                errors.append(_replace(place.layer, undo))
            except _OtherOutputsError as reason:
                kept[place.path] = str(reason)
        if trial and errors:
            trial, error = trial.compare(model, layers)
            errors.append(error)
        undo.pop_all()
    if errors:
        _forget_compiled(layers)
    replaced = {p.path: p.layer.explain() for p in chosen if p.path not in kept}
    check = _check_of(trial, errors) if trial and errors else "Nothing was changed."
    return Acceleration(replaced, kept, check)


class _Place(NamedTuple):
    """A layer in a model, its path, and the layers that hold it."""

    path: str
    layer: keras.layers.Layer
    holders: list[keras.layers.Layer]


class _OtherOutputsError(Exception):
    """A layer cannot be replaced. The message says why."""


def _check_model(model: Any) -> None:
    if not isinstance(model, keras.layers.Layer):
        raise TypeError(
            "model must be a Keras 3 model or layer; received a "
            f"{type(model).__module__}.{type(model).__name__}."
        )
    if not model.built:
        raise ValueError(
            f"model must be built, and {model.name} has no weights yet. Call it on a "
            "batch first, or begin it with a keras.Input."
        )


def _places(model: keras.layers.Layer) -> list[_Place]:
    """Returns each layer in the model once, beginning with the model itself."""
    found: dict[int, _Place] = {}
    paths: set[str] = set()

    def visit(
        layer: keras.layers.Layer, path: str, holder: keras.layers.Layer | None
    ) -> None:
        if id(layer) in found:
            found[id(layer)].holders.append(holder)
            return
        name, count = path, 1
        while path in paths:
            count += 1
            path = f"{name} ({count})"
        paths.add(path)
        found[id(layer)] = _Place(path, layer, [] if holder is None else [holder])
        prefix = "" if holder is None else f"{path}/"
        for held in sublayers(layer):
            visit(held, prefix + held.name, layer)

    visit(model, model.name, None)
    return list(found.values())


def _is_rnn(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.RNN)


_KERAS_RNNS = (keras.layers.GRU, keras.layers.RNN)


def _why_not(place: _Place, places: list[_Place]) -> str | None:
    """Returns why a recurrent layer or a cell is kept, or None."""
    layer = place.layer
    if isinstance(layer, keras.layers.GRUCell):
        steppers = [h for h in place.holders if not _is_rnn(h)]
        if steppers and not isinstance(steppers[0], keras.layers.StackedRNNCells):
            return f"it is a cell that {steppers[0].name} may step itself"
    if not _is_rnn(layer):
        return None
    if isinstance(layer, GRU):
        return "it is a tf_gru_addon.GRU already"
    if type(layer) not in _KERAS_RNNS:
        if isinstance(layer, keras.layers.GRU):
            return "it is a subclass of keras.layers.GRU, whose call may be another"
        return "it is no GRU"
    return _why_not_cell(layer, places)


def _why_not_cell(layer: keras.layers.RNN, places: list[_Place]) -> str | None:
    cell = layer.cell
    kind = type(cell)
    if isinstance(cell, keras.layers.StackedRNNCells):
        return "it steps stacked cells; a layer for each cell could be replaced"
    if kind not in (keras.layers.GRUCell, GRUCell):
        if isinstance(cell, keras.layers.GRUCell | GRUCell):
            return f"its cell is a {kind.__name__}, whose call may be another"
        return f"its cell is a {kind.__name__}, and no GRUCell"
    if not layer.built:
        return "it is not built: it was never called"
    if cell.dtype_policy.name != layer.dtype_policy.name:
        return (
            f"its dtype policy is {layer.dtype_policy.name}, and its cell's "
            f"{cell.dtype_policy.name}"
        )
    for name in ("activation", "recurrent_activation"):
        function = getattr(cell, name)
        if gru_step.derivative(function) is None:
            function = getattr(function, "__name__", type(function).__name__)
            return f"no engine is faster with the {name} {function}"
    if kind is GRUCell:
        return None
    if 1 in (cell.dropout, cell.recurrent_dropout):
        return "it has a dropout rate of 1, which Keras takes for none"
    (holders,) = (p.holders for p in places if p.layer is cell)
    for holder in holders:
        if type(holder) not in _KERAS_RNNS:
            return f"{holder.name} holds its cell too, and may step it itself"
    return None


def _replace(layer: keras.layers.RNN, undo: contextlib.ExitStack) -> float:
    """Makes a layer a `GRU` and returns the error of its outputs.

    Raises:
        _OtherOutputsError: The outputs differ. The layer is restored.
    """
    with contextlib.ExitStack() as undo_this:
        try:
            expected = outputs.layer_outputs(layer)
            undo_this.callback(become_gru(layer))
            comparison = _compare(
                lambda _: outputs.layer_outputs(layer), None, expected, [layer]
            )
        except Exception as error:
            raise _OtherOutputsError(
                f"it cannot be run: {_in_a_line(error)}"
            ) from error
        if comparison.undecided:
            raise _OtherOutputsError(
                f"rounding alone moves its outputs by {comparison.spread:.0e}, so a "
                "comparison cannot tell whether they would differ"
            )
        if not comparison.passed:
            raise _OtherOutputsError(
                f"its outputs would differ, by {comparison.max_error:.0e}"
            )
        undo.push(undo_this.pop_all())
    return comparison.max_error


def _compare(
    run: Callable[[Any], Arrays],
    inputs: Any,
    expected: Arrays,
    layers: list[keras.layers.Layer],
) -> Comparison:
    """Runs changed layers, and compares the outputs with the expected ones."""
    received = run(inputs)
    spread = functools.partial(rounding, run, inputs, received, layers)
    return compare_outputs(expected, received, layers, spread)


class _Trial(NamedTuple):
    """The outputs of a model before the change.

    Attributes:
        inputs: The argument that the model is called with.
        expected: Its outputs, or None if there is nothing to compare with.
        what: What the inputs are, or why nothing can be compared.
    """

    inputs: Any
    expected: Arrays | None
    what: str

    @classmethod
    def of(
        cls, model: keras.layers.Layer, layers: list[keras.layers.Layer], inputs: Any
    ) -> _Trial:
        """Runs the model on the inputs, or on random ones."""
        given = inputs is not None
        try:
            if not given:
                inputs = outputs.random_inputs(model, layers)
            first, second = (
                outputs.model_outputs(model, layers, inputs) for _ in range(2)
            )
        except outputs.UnknownInputsError as error:
            return cls(None, None, str(error))
        except Exception as error:
            reason = _in_a_line(error)
            if given:
                raise ValueError(
                    f"inputs must be what {model.name} is called with, and it does not "
                    f"run on them: {reason}"
                ) from error
            return cls(None, None, reason)
        if not compare_outputs(first, second, layers, rounding=float).passed:
            return cls(None, None, "its outputs for the same inputs differ")
        return cls(inputs, first, "the inputs given" if given else "random inputs")

    def compare(
        self, model: keras.layers.Layer, layers: list[keras.layers.Layer]
    ) -> tuple[_Trial, float]:
        """Compares the outputs of the changed model with those before.

        Returns:
            The trial, without outputs if they cannot be judged, and the error.
        """
        if self.expected is None:
            return self, 0.0
        run = functools.partial(outputs.model_outputs, model, layers)
        comparison = _compare(run, self.inputs, self.expected, layers)
        if comparison.undecided:
            why = f"rounding alone moves its outputs on {self.what} by"
            return _Trial(None, None, f"{why} {comparison.spread:.0e}"), 0.0
        if not comparison.passed:
            raise RuntimeError(
                f"{model.name} gives other outputs with its GRU layers replaced, "
                f"although each gives the same: on {self.what} they differ by "
                f"{comparison.max_error:.0e}. It is left as it was. Does it check the "
                "class of a layer, or step a layer's cell?"
            )
        return self, comparison.max_error


def _check_of(trial: _Trial, errors: list[float]) -> str:
    agreed = f"agree to {max(errors):.0e}"
    if trial.expected is None:
        return (
            f"On random sequences the outputs of each {agreed}. The model as a whole "
            f"was not compared: {trial.what}. Pass inputs to have it compared."
        )
    return (
        f"The outputs of each on random sequences, and the model's on {trial.what}, "
        f"{agreed}."
    )


def _forget_compiled(layers: list[keras.layers.Layer]) -> None:
    """Makes the models among the layers trace their functions again."""
    for layer in layers:
        if isinstance(layer, keras.Model):
            layer.train_function = None
            layer.test_function = None
            layer.predict_function = None


def _in_a_line(error: Exception) -> str:
    """Returns the message in one line, without Keras' colours and traceback notes."""
    lines = [line.strip() for line in without_colours(str(error)).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Exception enc")]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
