"""A whole sequence in ops that LiteRT has, for what is converted to it.

LiteRT has no TensorArray whose elements have an open size, and its loop copies all that
it carries at every iteration. So the outputs are carried in blocks: a loop over the
timesteps of a block inside one over the blocks of a larger block inside one over those.
What is copied then grows hardly faster than the timesteps.
"""

import math

import tensorflow as tf

from tf_gru_addon.ops import gru_step as step
from tf_gru_addon.ops import portable
from tf_gru_addon.ops.call import Call, Engine, Result
from tf_gru_addon.ops.gru_step import Recurrence

#: Blocks of a larger block, and timesteps of a block; measured.
_BLOCKS = (8, 16)


def _recur(
    x: list[tf.Tensor],
    h0: tf.Tensor,
    p: Recurrence,
    mask: tf.Tensor | None,
    return_sequences: bool,
) -> tuple[tf.Tensor | None, tf.Tensor]:
    """The recurrent part of a sequence, as `portable.run` takes it."""

    def new_state(row, h):
        new, _ = step.gru_step(row[:3], h, p)
        return new if mask is None else tf.where(row[3], new, h)

    sequences = x if mask is None else [*x, mask]
    timesteps = tf.shape(x[0])[0]
    if not return_sequences:
        _, state = tf.while_loop(
            lambda t, _: t < timesteps,
            lambda t, h: (t + 1, new_state([tf.gather(s, t) for s in sequences], h)),
            (tf.constant(0), h0),
        )
        return None, state
    known = x[0].shape[0]
    blocks = () if known is not None and known <= _BLOCKS[-1] else _BLOCKS
    step_count = math.prod(blocks)
    rows = -(-timesteps // step_count)
    sequences = [_padded(s, rows * step_count - timesteps) for s in sequences]
    states, state = _blocks(new_state, sequences, h0, timesteps, rows, blocks)
    return states[:timesteps], state


def _padded(x: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    return tf.pad(x, [[0, count], [0, 0], [0, 0]])


def _blocks(new_state, sequences, h0, timesteps, rows, blocks):
    """Returns the states of a block, and the last state.

    Args:
        new_state: Takes a timestep's rows of the sequences, and the state before it.
        sequences: Each [rows * product of blocks, B, ...].
        h0: The state before.
        timesteps: How many of the block's timesteps there are.
        rows: How many smaller blocks, or timesteps, it has.
        blocks: How many each of these has in turn; () if they are timesteps.
    """
    size = math.prod(blocks)
    if blocks:
        sequences = [
            tf.reshape(s, tf.concat([[rows, size], tf.shape(s)[1:]], axis=0))
            for s in sequences
        ]

    def body(i, h, states):
        row = [tf.gather(s, i) for s in sequences]
        if blocks:
            left = tf.minimum(timesteps - i * size, size)
            new, h = _blocks(new_state, row, h, left, blocks[0], blocks[1:])
        else:
            new = h = new_state(row, h)
        return i + 1, h, tf.tensor_scatter_nd_update(states, [[i]], new[tf.newaxis])

    inner = [size] if blocks else []
    states = tf.zeros(tf.concat([[rows], inner, tf.shape(h0)], axis=0), h0.dtype)
    _, state, states = tf.while_loop(
        lambda i, *_: i * size < timesteps, body, (tf.constant(0), h0, states)
    )
    if blocks:
        states = tf.reshape(states, tf.concat([[-1], tf.shape(h0)], axis=0))
    return states, state


def run(call: Call) -> Result:
    """Runs a call in ops that LiteRT has; its loops have no efficient gradient."""
    return portable.run(call, recur=_recur)


#: The engine that exports to LiteRT choose; no user can name it.
ENGINE = Engine("litert", run)
