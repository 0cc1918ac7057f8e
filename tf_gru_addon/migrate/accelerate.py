"""One line that makes an existing model fast."""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np

from tf_gru_addon import verify
from tf_gru_addon._compat import running_trainer, sublayers
from tf_gru_addon.errors import without_colours
from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.layers.gru_cell import GRUCell
from tf_gru_addon.layers.in_place import become_gru
from tf_gru_addon.migrate.acceleration import Acceleration
from tf_gru_addon.ops import gru_step
from tf_gru_addon.verify import outputs


def accelerate(model: keras.layers.Layer, inputs: Any = None) -> Acceleration:
    """Replaces a model's GRU layers by this package's, in place.

    The model stays the object that it is, and so does each of its layers: a
    `keras.layers.GRU`, or a `keras.layers.RNN` of a `GRUCell`, becomes a
    `tf_gru_addon.GRU` where it stands, be it in a functional, a sequential or a
    subclassed model, in `Bidirectional` or `TimeDistributed`, nested or shared. The
    weights, names, initializers, regularizers, constraints, dtype policies, `trainable`
    flags and states, and a compiled model's optimizer with all that it has gathered,
    are the very ones that they were: there is nothing to compile or to load anew. To
    have the model as it was besides, save it before.

    Left as they are, each with the reason in what is returned: subclasses of Keras' GRU
    and of its cell, whose call may be another; stacked cells; a cell that the model
    steps itself; a layer with an activation that no engine is faster with; any layer
    that would give other outputs. What a model holds where Keras does not see it, as in
    a closure, is not found.

    Before it returns, each replaced layer is compared with what it was on random
    sequences, with a mask and without, and then the whole model, in inference, on
    `inputs` or on random ones. They may differ by what rounding alone changes. States
    and seeds are afterwards what they were.

    Dropout draws other random numbers than Keras', at the same rates. A `.weights.h5`
    file written before fits afterwards too, unless the model holds a
    `keras.layers.RNN`: Keras finds a layer there by the name of its class. A
    `tf.function` of your own, and a model around this one, keep what they have traced.

    Args:
        model: A built Keras 3 model, or layer. It is changed.
        inputs: Inputs to compare the whole model on, as it is called with. None takes
            random ones, where the model says what it takes; a subclassed one does not.

    Returns:
        What was replaced and what not; `print` shows it.

    Raises:
        TypeError: `model` is no Keras 3 layer.
        ValueError: `model` is not built, or does not run on `inputs`.
        RuntimeError: `fit`, `evaluate` or `predict` of the model is running, as when a
            callback calls this. Or the model gives other outputs, although every layer
            gives the same, as one may that asks for the class of a layer. It is left as
            it was.

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
    # Undone unless all of it goes well.
    with outputs.without_dropout(layers), contextlib.ExitStack() as undo:
        trial = _Trial.of(model, layers, inputs) if chosen else None
        for place in chosen:
            try:
                errors.append(_replace(place.layer, undo))
            except _OtherOutputsError as error:
                kept[place.path] = str(error)
        if trial and errors:
            trial, error = trial.compare(model, layers)
            errors.append(error)
        undo.pop_all()
    if errors:
        _forget_compiled(layers)
    replaced = {p.path: p.layer.explain() for p in chosen if p.path not in kept}
    return Acceleration(replaced, kept, _check_of(trial, errors))


class _Place(NamedTuple):
    """A layer in a model, its path there, and the layers that hold it."""

    path: str
    layer: keras.layers.Layer
    holders: list[keras.layers.Layer]


class _OtherOutputsError(Exception):
    """A layer that cannot be replaced, and why."""


def _check_model(model: Any) -> None:
    if not isinstance(model, keras.layers.Layer):
        raise TypeError(
            "model must be a Keras 3 model or layer; received a "
            f"{type(model).__module__}.{type(model).__name__}."
        )
    if not model.built:
        raise ValueError(
            f"model must be built, and {model.name} has no weights yet. Call it on a "
            "batch first, or give it a keras.Input."
        )


def _places(model: keras.layers.Layer) -> list[_Place]:
    """Returns each layer in the model once, itself the first."""
    found: dict[int, _Place] = {}
    paths = set()

    def visit(layer, path, holder):
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
    """Returns why a layer with a GRU in it stays; None for all others."""
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
    """Makes a layer a `GRU`, and returns how far its outputs are from what they were.

    Raises:
        _OtherOutputsError: They are too far; the layer is what it was.
    """
    with contextlib.ExitStack() as undo_this:
        try:
            expected = outputs.layer_outputs(layer)
            undo_this.callback(become_gru(layer))
            verdict = _judge(
                lambda _: outputs.layer_outputs(layer), None, expected, [layer]
            )
        except Exception as error:
            raise _OtherOutputsError(
                f"it cannot be run: {_in_a_line(error)}"
            ) from error
        if not verdict.decided:
            raise _OtherOutputsError(
                f"rounding alone moves its outputs by {verdict.spread:.0e} of the "
                "largest, so a comparison cannot tell whether they would differ"
            )
        if not verdict.passed:
            raise _OtherOutputsError(
                f"its outputs would differ, by {verdict.error:.0e} of the largest"
            )
        undo.push(undo_this.pop_all())
    return verdict.error


def _judge(
    run: Callable[[Any], list[np.ndarray]],
    inputs: Any,
    expected: list[np.ndarray],
    layers: list[keras.layers.Layer],
) -> verify.Verdict:
    """Runs what was changed, and compares its outputs with the expected ones."""

    def spread() -> float:
        return verify.rounding(
            run, inputs, layers, lambda one, other: outputs.difference(other, one)
        )

    error = outputs.difference(run(inputs), expected)
    return verify.judge(error, outputs.tolerance(layers), spread, layers)


class _Trial(NamedTuple):
    """A model's outputs before it is changed, or why there are none."""

    inputs: Any
    expected: list[np.ndarray] | None
    what: str

    @classmethod
    def of(cls, model, layers, inputs: Any) -> "_Trial":
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
        if outputs.difference(first, second) > outputs.tolerance(layers):
            return cls(None, None, "its outputs for the same inputs differ")
        return cls(inputs, first, "the inputs given" if given else "random inputs")

    def compare(self, model, layers) -> "tuple[_Trial, float]":
        """Returns how far the model's outputs are now from what they were.

        Returns:
            The trial, without outputs if they tell nothing, and the difference.
        """
        if self.expected is None:
            return self, 0.0

        def run(inputs):
            return outputs.model_outputs(model, layers, inputs)

        verdict = _judge(run, self.inputs, self.expected, layers)
        error = verdict.error
        if not verdict.decided:
            why = f"rounding alone moves its outputs on {self.what} by"
            return _Trial(None, None, f"{why} {verdict.spread:.0e} of the largest"), 0.0
        if not verdict.passed:
            raise RuntimeError(
                f"{model.name} gives other outputs with its GRU layers replaced, "
                f"although each gives the same: on {self.what} they differ by "
                f"{error:.0e} of the largest. It is left as it was. Does it ask for "
                "the class of a layer, or step a layer's cell?"
            )
        return self, error


def _check_of(trial: _Trial | None, errors: list[float]) -> str:
    if not errors:
        return "Nothing was changed."
    agreed = f"agree to {max(errors):.0e} of the largest"
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
    """Has the models among the layers trace anew what they run."""
    for layer in layers:
        if isinstance(layer, keras.Model):
            layer.train_function = None
            layer.test_function = None
            layer.predict_function = None


def _in_a_line(error: Exception) -> str:
    """Returns what went wrong, without where Keras says that it did, and in bold."""
    lines = [line.strip() for line in without_colours(str(error)).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Exception enc")]
    return f"{type(error).__name__}: {lines[0] if lines else 'of no message'}"
