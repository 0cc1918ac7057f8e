"""A whole sequence through the native op, with its gradient.

The op is in `tf_gru_addon/native`. Its gradient is an op too; that of the gradient is
`gru_portable`'s, differentiated twice.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from tf_gru_addon import activations, native
from tf_gru_addon.activations import Activation
from tf_gru_addon.ops.gru_portable import gru_portable
from tf_gru_addon.ops.gru_step import Masks

#: The activations that the kernels have, by the names that the op knows.
_FUNCTIONS: dict[str, Activation] = {
    "sigmoid": keras.activations.sigmoid,
    "hard_sigmoid": activations.hard_sigmoid,
    "keras_hard_sigmoid": keras.activations.hard_sigmoid,
    "tanh": keras.activations.tanh,
    "relu": keras.activations.relu,
    "linear": keras.activations.linear,
}
_NAMES: dict[Activation, str] = {
    **{function: name for name, function in _FUNCTIONS.items()},
    tf.sigmoid: "sigmoid",
    tf.tanh: "tanh",
    tf.nn.relu: "relu",
}

# A saved graph that holds the ops can be loaded where the package is imported: they are
# there from the start, and not from the first call on.
native.status()

_OPTIONS = (
    "reset_after",
    "activation",
    "recurrent_activation",
    "go_backwards",
    "zero_output_for_mask",
    "threads",
)


def has_activation(activation: Activation) -> bool:
    """Returns whether the kernels have the activation."""
    return activation in _NAMES


def activation_name(activation: Activation) -> str:
    """Returns the kernels' name of an activation for which `has_activation` is true."""
    return _NAMES[activation]


def gru_native(
    inputs: tf.Tensor,
    initial_state: tf.Tensor,
    kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    bias: tf.Tensor | None,
    *,
    reset_after: bool,
    activation: Activation,
    recurrent_activation: Activation,
    mask: tf.Tensor | None = None,
    input_masks: Masks = None,
    recurrent_masks: Masks = None,
    zero_output_for_mask: bool = False,
    go_backwards: bool = False,
    return_sequences: bool = True,
    unroll: bool = False,
    training: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Runs a GRU over a sequence.

    Args:
        inputs: As `gru_portable`, and so all others, but float32, or bfloat16, which
            is computed with in float32.
        initial_state: See there.
        kernel: See there.
        recurrent_kernel: See there.
        bias: See there.
        reset_after: See there.
        activation: One for which `has_activation` is true.
        recurrent_activation: Likewise.
        mask: See `gru_portable`.
        input_masks: See there.
        recurrent_masks: See there.
        zero_output_for_mask: See there.
        go_backwards: See there.
        return_sequences: See there.
        unroll: Without meaning here: there is no loop in the graph.
        training: See there.

    Returns:
        The outputs, (batch, timesteps, units) or the last one, (batch, units); and the
        last state, (batch, units).

    Raises:
        RuntimeError: The native engine is not available; see `native.status`.
        tf.errors.InvalidArgumentError: Shapes do not fit together.
    """
    del unroll

    def single(tensors):
        half = tf.bfloat16
        return [tf.cast(t, tf.float32) if t.dtype == half else t for t in tensors]

    output, state, *_ = _forward_op(return_sequences, training)(
        *single([inputs, initial_state, kernel, recurrent_kernel]),
        single([] if bias is None else [bias]),
        [] if mask is None else [mask],
        single(input_masks or []),
        single(recurrent_masks or []),
        reset_after=reset_after,
        activation=_NAMES[activation],
        recurrent_activation=_NAMES[recurrent_activation],
        go_backwards=go_backwards,
        zero_output_for_mask=zero_output_for_mask,
        threads=_threads(),
    )
    return tf.cast(output, inputs.dtype), tf.cast(state, inputs.dtype)


def _threads() -> int:
    """Returns the most threads that a call may take; 0 leaves it to the library."""
    if os.environ.get("TF_GRU_ADDON_THREADS"):
        return 0  # The library reads it.
    return tf.config.threading.get_intra_op_parallelism_threads()


def _forward_op(sequences: bool, training: bool) -> Callable:
    ops = native.ops()
    if sequences:
        return ops.tf_gru_addon_gru_training if training else ops.tf_gru_addon_gru
    if training:
        return ops.tf_gru_addon_gru_last_training
    return ops.tf_gru_addon_gru_last


class _Inputs(NamedTuple):
    """The inputs that the forward ops and the gradient op have in common."""

    inputs: tf.Tensor
    initial_state: tf.Tensor
    kernel: tf.Tensor
    recurrent_kernel: tf.Tensor
    bias: list[tf.Tensor]
    mask: list[tf.Tensor]
    input_masks: list[tf.Tensor]
    recurrent_masks: list[tf.Tensor]

    def differentiable(self) -> list[tf.Tensor]:
        """Returns those that have a gradient, in the order of the op's inputs."""
        return [*self[:4], *self.bias]


def _read(op: tf.Operation) -> tuple[_Inputs, list[tf.Tensor], dict]:
    """Returns an op's inputs, what it has besides the common ones, and its options."""
    rest = list(op.inputs)
    tensors, rest = rest[:4], rest[4:]
    lists = []
    for name in ("biases", "masks", "input_mask_count", "recurrent_mask_count"):
        count = op.get_attr(name)
        lists.append(rest[:count])
        rest = rest[count:]
    options = {name: op.get_attr(name) for name in _OPTIONS}
    for name in ("activation", "recurrent_activation"):
        options[name] = tf.compat.as_str(options[name])
    return _Inputs(*tensors, *lists), rest, options


def _gradient(op, d_output, d_state, states, gates):
    inputs, _, options = _read(op)
    d_inputs, d_initial_state, d_kernel, d_recurrent_kernel, d_bias = (
        native.ops().tf_gru_addon_gru_gradient(
            *inputs, states, gates, d_output, d_state, **options
        )
    )
    for d, bias in zip(d_bias, inputs.bias, strict=True):
        d.set_shape(bias.shape)
    dropout = len(inputs.mask) + len(inputs.input_masks) + len(inputs.recurrent_masks)
    return [
        d_inputs,
        d_initial_state,
        d_kernel,
        d_recurrent_kernel,
        *d_bias,
        *[None] * dropout,
    ]


@tf.RegisterGradient("TfGruAddon>GruTraining")
def _gradient_of_training(op, d_output, d_state, _):
    return _gradient(op, d_output, d_state, op.outputs[0], op.outputs[2])


@tf.RegisterGradient("TfGruAddon>GruLastTraining")
def _gradient_of_last_training(op, d_output, d_state, *_):
    return _gradient(op, d_output, d_state, op.outputs[3], op.outputs[2])


@tf.RegisterGradient("TfGruAddon>Gru")
@tf.RegisterGradient("TfGruAddon>GruLast")
def _gradient_of_inference(op, d_output, d_state):
    # The pass has kept nothing, and is done again.
    inputs, _, options = _read(op)
    states, _, gates = _forward_op(sequences=True, training=True)(*inputs, **options)
    return _gradient(op, d_output, d_state, states, gates)


@tf.RegisterGradient("TfGruAddon>GruGradient")
def _second_gradient(op, *upstream):
    """The gradient of the gradient op, taken as a function of what it stands for.

    The states and gates that it is given follow from its other inputs, to which all of
    the gradient is attributed.
    """
    inputs, (*_, d_output, d_state), options = _read(op)
    sequences = d_output.shape.rank == 3
    variables = inputs.differentiable()
    with tf.GradientTape() as outer:
        outer.watch([*variables, d_output, d_state])
        with tf.GradientTape() as inner:
            inner.watch(variables)
            results = gru_portable(
                *inputs[:4],
                inputs.bias[0] if inputs.bias else None,
                reset_after=options["reset_after"],
                activation=_FUNCTIONS[options["activation"]],
                recurrent_activation=_FUNCTIONS[options["recurrent_activation"]],
                mask=inputs.mask[0] if inputs.mask else None,
                input_masks=inputs.input_masks,
                recurrent_masks=inputs.recurrent_masks,
                zero_output_for_mask=options["zero_output_for_mask"],
                go_backwards=options["go_backwards"],
                return_sequences=sequences,
                training=True,
            )
        first = inner.gradient(results, variables, output_gradients=[d_output, d_state])
    *seconds, d_d_output, d_d_state = outer.gradient(
        first, [*variables, d_output, d_state], output_gradients=list(upstream)
    )
    dropout = len(inputs.mask) + len(inputs.input_masks) + len(inputs.recurrent_masks)
    return [*seconds, *[None] * dropout, None, None, d_d_output, d_d_state]
