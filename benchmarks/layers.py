"""Candidates in TensorFlow: this package's engines, Keras' layers, and an identity.

Each is a `tf.function`, traced before it is measured. `identity` has the same inputs
and outputs but computes nothing; its time is subtracted from the others'.
"""

import keras
import tensorflow as tf

import tf_gru_addon
from benchmarks.problem import Candidate, Problem
from tf_gru_addon import native


def layer(name: str, problem: Problem, **options):
    """Returns a layer with the problem's weights that returns sequences.

    Args:
        name: "native", "portable", "Keras", "Keras XLA" or "tf_keras".
        problem: The problem, which has the weights.
        **options: Arguments of the layer.

    Raises:
        ImportError: The layer is not available here.
    """
    options = {"return_sequences": True, **options}
    units = problem.shape.units
    if name == "tf_keras":
        import tf_keras

        made = tf_keras.layers.GRU(units, **options)
    elif name.startswith("Keras"):
        made = keras.layers.GRU(units, **options)
    else:
        if name == "native" and not native.status().available:
            raise ImportError(native.status().reason)
        made = tf_gru_addon.GRU(units, engine=name, **options)
    made.build((None, None, problem.shape.features))
    kernel, recurrent_kernel, bias = problem.weights
    made.set_weights(
        [kernel, recurrent_kernel, bias if made.reset_after else bias.sum(axis=0)]
    )
    return made


def function(made, training: bool, jit_compile: bool = False):
    """Returns an untraced `tf.function` that takes `arguments`.

    Args:
        made: The layer.
        training: True for a training step: a forward pass in training mode, and the
            gradients of inputs and weights. False for a forward pass in inference mode.
        jit_compile: Whether XLA compiles it.
    """

    def forward(x, mask=None):
        return made(x, mask=mask, training=False)

    def step(x, upstream, mask=None):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = made(x, mask=mask, training=True)
        return tape.gradient(
            outputs, [x, *made.trainable_variables], output_gradients=upstream
        )

    return tf.function(step if training else forward, jit_compile=jit_compile)


def arguments(given: Problem, training: bool, mask=None) -> list[tf.Tensor]:
    """Returns the arguments of the functions: inputs, upstream gradient, mask."""
    arrays = [given.inputs]
    if training:
        arrays.append(given.upstream)
    if mask is not None:
        arrays.append(mask)
    return [tf.constant(array) for array in arrays]


def candidate(
    name: str, given: Problem, training: bool, mask=None, **options
) -> Candidate:
    """Returns a layer's forward pass or training step; for `options`, see `layer`."""
    made = layer(name, given, **options)
    run = _traced(
        function(made, training, jit_compile=name.endswith("XLA")),
        arguments(given, training, mask),
    )

    def read(results):
        return [r.numpy() for r in (results[:3] if training else [results])]

    return Candidate(run, read, overhead_of(name))


def identity(
    given: Problem, training: bool, mask=None, jit_compile: bool = False
) -> Candidate:
    """Returns a function with as many inputs and outputs that computes nothing."""
    inputs = arguments(given, training, mask) + list(map(tf.constant, given.weights))
    outputs = 4 if training else 1

    def pass_on(*inputs):
        return [tf.identity(tensor) for tensor in inputs[:outputs]]

    run = _traced(tf.function(pass_on, jit_compile=jit_compile), inputs)
    return Candidate(run, None)


def overhead_of(name: str) -> str:
    """Returns the name of the identity to subtract from a layer's time."""
    return "identity XLA" if name.endswith("XLA") else "identity"


def _traced(function, arguments):
    """Traces a function, and returns it as a call without arguments."""
    function.get_concrete_function(*arguments)
    return lambda: function(*arguments)
