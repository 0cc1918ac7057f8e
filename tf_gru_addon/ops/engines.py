"""The engines that users can choose, and which one a call takes."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import NamedTuple

from tf_gru_addon.ops import cudnn, native, portable
from tf_gru_addon.ops.call import Call, Engine

#: By name, the engines that users can choose; "auto" takes the first that can run.
ENGINES: dict[str, Engine] = {
    engine.name: engine for engine in (cudnn.ENGINE, native.ENGINE, portable.ENGINE)
}


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


_in_use: contextvars.ContextVar[str | Engine | None] = contextvars.ContextVar(
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
    return using(engine)


@contextlib.contextmanager
def using(engine: str | Engine) -> Iterator[None]:
    """As `use_engine`, and for an engine that has no name among `ENGINES` too.

    Args:
        engine: A name that `check_name` accepts, or an engine, such as an export's.
    """
    token = _in_use.set(engine)
    try:
        yield
    finally:
        _in_use.reset(token)


def choose(requested: str, call: Call) -> Engine:
    """Returns the engine that a call takes here and now.

    Args:
        requested: The layer's `engine`.
        call: The call.

    Raises:
        ValueError: The engine asked for cannot run the call; the message has every
            reason.
    """
    wanted: str | Engine = _in_use.get() or requested
    if wanted == "auto" and call.use_cudnn is True:
        wanted = "cudnn"
    if wanted == "auto":
        return next(engine for engine in ENGINES.values() if not engine.why_not(call))
    engine = wanted if isinstance(wanted, Engine) else ENGINES[wanted]
    if why := engine.why_not(call):
        raise ValueError(
            f"The engine {engine.name!r} was asked for and cannot run: "
            f'{"; ".join(why)}. Pass engine="auto" and use_cudnn="auto" for '
            'one that can, or make the call within use_engine("portable").'
        )
    return engine


def explain(requested: str, call: Call) -> Explanation:
    """Returns the engine of a call, and the reasons against each other engine.

    Args:
        requested: The layer's `engine`.
        call: The call.

    Raises:
        ValueError: As `choose`.
    """
    chosen = choose(requested, call)
    automatic = (_in_use.get() or requested) == "auto" and call.use_cudnn is not True
    preference = f"{chosen.name} {'comes first' if automatic else 'was asked for'}"
    others = {
        name: engine.why_not(call) or [preference]
        for name, engine in ENGINES.items()
        if name != chosen.name
    }
    return Explanation(chosen.name, others)
