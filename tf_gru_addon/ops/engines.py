"""The ways of running a whole sequence, and which one a call takes."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import NamedTuple

import keras
import tensorflow as tf

from tf_gru_addon import _compat, native
from tf_gru_addon.activations import Activation
from tf_gru_addon.ops.gru_cudnn import gru_cudnn
from tf_gru_addon.ops.gru_native import gru_native, has_activation
from tf_gru_addon.ops.gru_portable import gru_portable

#: Engine name to its function; all take the arguments of `gru_portable`. "auto" takes
#: the first that can run.
ENGINES: dict[str, Callable] = {
    "cudnn": gru_cudnn,
    "native": gru_native,
    "portable": gru_portable,
}


class Call(NamedTuple):
    """What a call asks of an engine, as far as an engine might lack it.

    Attributes:
        dtype: Name of the dtype computed in.
        reset_after: The convention.
        use_bias: Whether there is a bias.
        activation: The candidate's activation.
        recurrent_activation: The activation of the gates.
        input_masks: How many dropout masks the inputs have: 0, 1 or 3.
        recurrent_masks: How many the state has.
        use_cudnn: The layer's `use_cudnn`.
    """

    dtype: str
    reset_after: bool
    use_bias: bool
    activation: Activation
    recurrent_activation: Activation
    input_masks: int
    recurrent_masks: int
    use_cudnn: bool | str


class Explanation(NamedTuple):
    """Which engine a call takes, and why not each other one.

    Attributes:
        engine: Name of the engine.
        reasons: For each other engine, what speaks against it.
    """

    engine: str
    reasons: dict[str, list[str]]

    def __str__(self) -> str:
        lines = [f"{self.engine} runs"]
        lines += [
            f"{name} does not: {'; '.join(why)}" for name, why in self.reasons.items()
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)  # what a notebook and the prompt show


_in_use: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "tf_gru_addon_engine", default=None
)


def check_name(engine: str) -> None:
    """Raises ValueError unless `engine` is "auto" or the name of an engine."""
    if not isinstance(engine, str) or engine not in ("auto", *ENGINES):
        raise ValueError(
            f'engine must be "auto" or one of {sorted(ENGINES)}; received: {engine!r}.'
        )


def use_engine(engine: str) -> contextlib.AbstractContextManager[None]:
    """Runs every `GRU` called within on one engine, whatever its `engine` says.

    The choice is made when a layer is called, so that within a `tf.function` it holds
    for what is traced inside the `with` block. Other threads are not concerned.

    Args:
        engine: "portable", "native", "cudnn", or "auto" to let each call choose.

    Raises:
        ValueError: `engine` names no engine.

    Example:
        >>> import tensorflow as tf
        >>> import tf_gru_addon
        >>> layer = tf_gru_addon.GRU(4)
        >>> with tf_gru_addon.use_engine("portable"):
        ...     layer(tf.zeros([2, 3, 5])).shape
        TensorShape([2, 4])
    """
    check_name(engine)
    return _using(engine)


@contextlib.contextmanager
def _using(engine: str) -> Iterator[None]:
    token = _in_use.set(engine)
    try:
        yield
    finally:
        _in_use.reset(token)


def explain(requested: str, call: Call) -> Explanation:
    """Returns the engine of a call, and the reasons against every other.

    Args:
        requested: The layer's `engine`.
        call: What the call asks.

    Raises:
        ValueError: A named engine cannot run the call; the message has every reason.
    """
    in_use = _in_use.get()
    name = in_use or requested
    if name == "auto" and call.use_cudnn is True:
        name = "cudnn"
    reasons = {engine: check(call) for engine, check in _CHECKS.items()}
    if name == "auto":
        name = next(engine for engine in ENGINES if not reasons[engine])
        preference = f"{name} comes first"
    else:
        preference = f"{name} was asked for"
    if reasons[name]:
        raise ValueError(
            f"The engine {name!r} was asked for and cannot run: "
            f'{"; ".join(reasons[name])}. Pass engine="auto" and use_cudnn="auto" for '
            'one that can, or make the call within use_engine("portable").'
        )
    others = {e: why or [preference] for e, why in reasons.items() if e != name}
    return Explanation(name, others)


def can_run(engine: str, call: Call) -> bool:
    """Returns whether an engine can run a call made here and now."""
    return not _CHECKS[engine](call)


def engine_for(requested: str | Callable, call: Call) -> Callable:
    """Returns the function of a call's engine; arguments and errors as `explain`.

    A function stands for itself: an export puts one in an engine's place, which takes
    the call down and runs nothing.
    """
    return (
        requested if callable(requested) else ENGINES[explain(requested, call).engine]
    )


def _why_not_portable(call: Call) -> list[str]:
    del call
    return []


def _why_not_native(call: Call) -> list[str]:
    why = _why_not_here()
    status = native.status()
    if not status.available:
        why.append(status.reason)
    if not _compat.on_cpu():
        why.append("a GPU is visible and the call is in no CPU device scope")
    if call.dtype not in ("float32", "bfloat16"):
        why.append(f"it computes in float32, and the layer in {call.dtype}")
    for name in ("activation", "recurrent_activation"):
        function = getattr(call, name)
        if not has_activation(function):
            why.append(f"it lacks the {name} {_name(function)}")
    return why


def _why_not_cudnn(call: Call) -> list[str]:
    why = _why_not_here()
    if _compat.on_cpu():
        why.append("no GPU is visible, or the call is in a CPU device scope")
    if call.use_cudnn is False:
        why.append("use_cudnn is False")
    if call.dtype not in ("float16", "float32", "float64"):
        why.append(f"it lacks the dtype {call.dtype}")
    if not call.reset_after:
        why.append("it lacks reset_after=False")
    if not call.use_bias:
        why.append("it lacks use_bias=False")
    if call.activation not in (keras.activations.tanh, tf.tanh):
        why.append(f"it lacks the activation {_name(call.activation)}")
    if call.recurrent_activation not in (keras.activations.sigmoid, tf.sigmoid):
        why.append(
            f"it lacks the recurrent_activation {_name(call.recurrent_activation)}"
        )
    if call.recurrent_masks:
        why.append("it lacks recurrent dropout")
    if call.input_masks > 1:
        why.append("it lacks dropout masks of its own for each gate")
    return why


def _why_not_here() -> list[str]:
    """What speaks against any op but TensorFlow's own, portable ones."""
    why = []
    if _compat.in_xla():
        why.append("XLA (jit_compile=True) compiles the call")
    if _compat.in_export():
        why.append("the call is traced for export")
    return why


def _name(function: Activation) -> str:
    return getattr(function, "__name__", type(function).__name__)


_CHECKS: dict[str, Callable[[Call], list[str]]] = {
    "cudnn": _why_not_cudnn,
    "native": _why_not_native,
    "portable": _why_not_portable,
}
