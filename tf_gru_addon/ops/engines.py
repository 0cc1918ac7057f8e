"""The ways of running a whole sequence, and which one a call takes."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator

from tf_gru_addon.ops.gru_portable import gru_portable

#: Engine name to its function; all take the arguments of `gru_portable`.
ENGINES: dict[str, Callable] = {"portable": gru_portable}

_in_use: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "tf_gru_addon_engine", default=None
)


def check_name(engine: str) -> None:
    """Raises ValueError unless `engine` is "auto" or the name of an engine."""
    if engine != "auto" and engine not in ENGINES:
        raise ValueError(
            f'engine must be "auto" or one of {sorted(ENGINES)}; received: {engine!r}.'
        )


@contextlib.contextmanager
def use_engine(engine: str) -> Iterator[None]:
    """Runs every `GRU` called within on one engine, whatever its `engine` says.

    The choice is made when a layer is called, so that within a `tf.function` it holds
    for what is traced inside the `with` block. Other threads are not concerned.

    Args:
        engine: "portable", or "auto" to let each call choose.

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
    token = _in_use.set(engine)
    try:
        yield
    finally:
        _in_use.reset(token)


def engine_for(requested: str, use_cudnn: bool | str) -> Callable:
    """Returns the engine of a call.

    Args:
        requested: The layer's `engine`.
        use_cudnn: The layer's `use_cudnn`.

    Raises:
        ValueError: The layer demands cuDNN, and no engine of that kind can run.
    """
    if use_cudnn is True:
        raise ValueError(
            "use_cudnn=True demands cuDNN, which this version of tf_gru_addon does not "
            'have an engine for. Pass use_cudnn="auto".'
        )
    name = _in_use.get() or requested
    return ENGINES["portable" if name == "auto" else name]
