"""The duration of one timestep at batch 1, in a `tf.function` that takes the state."""

import keras
import tensorflow as tf

import tf_gru_addon
from benchmarks import layers
from benchmarks.problem import Shape, problem
from benchmarks.speed import check
from benchmarks.timing import in_turn, summary

SHAPE = Shape(1, 1, 64, 128)


def measure(rounds: int) -> dict:
    """Returns `timing.summary` by name; `identity` only returns x and h."""
    given = problem(SHAPE)
    sequences, state = tf.constant(given.inputs), tf.zeros([1, SHAPE.units])
    x = sequences[:, 0]
    ours = tf_gru_addon.GRUCell(
        SHAPE.units, recurrent_activation="sigmoid", reset_after=True
    )
    calls = {}

    def add(name, function, *arguments):
        function = tf.function(function)
        calls[name] = lambda: function(*arguments)

    add("identity", lambda x, h: (tf.identity(x), tf.identity(h)), x, state)
    cells = {"GRUCell": ours, "Keras GRUCell": keras.layers.GRUCell(SHAPE.units)}
    for name, cell in cells.items():
        cell.build((1, SHAPE.features))
        cell.set_weights(given.weights)
        add(name, lambda x, h, cell=cell: cell(x, [h])[0], x, state)
    for name in ("native", "portable", "Keras"):
        try:
            layer = layers.layer(name, given, return_sequences=False)
        except ImportError:
            continue
        add(
            f"{name} GRU",
            lambda x, h, layer=layer: layer(x, initial_state=h, training=False),
            sequences,
            state,
        )
    expected = [calls["Keras GRU"]().numpy()]
    for name, run in calls.items():
        if name != "identity":
            check(name, [run().numpy()], expected)
    return {name: summary(times) for name, times in in_turn(calls, rounds).items()}
