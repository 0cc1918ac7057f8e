"""A whole sequence through the native op, with its gradient.

The op is in `tf_gru_addon/native`. Its gradient is an op too; that of the gradient is
the portable engine's, differentiated twice.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from tf_gru_addon import _compat, activations, native
from tf_gru_addon.activations import Activation, name_of
from tf_gru_addon.ops import portable
from tf_gru_addon.ops.call import Call, Engine, Result, why_not_custom_ops

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


def why_not(call: Call) -> list[str]:
    """Returns the reasons why the op cannot run a call; see `Engine.why_not`."""
    why = why_not_custom_ops()
    status = native.status()
    if not status.available:
        why.append(status.reason)
    if not _compat.on_cpu():
        why.append("a GPU is visible and the call is in no CPU device scope")
    if call.inputs.dtype not in (tf.float32, tf.bfloat16):
        dtype = call.inputs.dtype.name
        why.append(f"it computes in float32, and the layer in {dtype}")
    for name in ("activation", "recurrent_activation"):
        function = getattr(call, name)
        if not has_activation(function):
            why.append(f"it lacks the {name} {name_of(function)}")
    return why


def run(call: Call) -> Result:
    """Runs a call for which `why_not` gives no reason.

    Raises:
        RuntimeError: The native engine is not available; see `native.status`.
        tf.errors.InvalidArgumentError: Shapes do not fit together.
    """

    def single(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        half = tf.bfloat16
        return [tf.cast(t, tf.float32) if t.dtype == half else t for t in tensors]

    outputs, state, *_ = _forward_op(call.return_sequences, call.training)(
        *single([call.inputs, call.initial_state, call.kernel, call.recurrent_kernel]),
        single([] if call.bias is None else [call.bias]),
        [] if call.mask is None else [call.mask],
        single(call.input_masks or []),
        single(call.recurrent_masks or []),
        reset_after=call.reset_after,
        activation=_NAMES[call.activation],
        recurrent_activation=_NAMES[call.recurrent_activation],
        go_backwards=call.go_backwards,
        zero_output_for_mask=call.zero_output_for_mask,
        threads=_threads(),
    )
    dtype = call.inputs.dtype
    return Result(tf.cast(outputs, dtype), tf.cast(state, dtype))


#: The engine in C++, for CPUs.
ENGINE = Engine("native", run, why_not)


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
    variables = inputs.differentiable()
    with tf.GradientTape() as outer:
        outer.watch([*variables, d_output, d_state])
        with tf.GradientTape() as inner:
            inner.watch(variables)
            call = Call(
                inputs=inputs.inputs,
                initial_state=inputs.initial_state,
                kernel=inputs.kernel,
                recurrent_kernel=inputs.recurrent_kernel,
                bias=inputs.bias[0] if inputs.bias else None,
                reset_after=options["reset_after"],
                activation=_FUNCTIONS[options["activation"]],
                recurrent_activation=_FUNCTIONS[options["recurrent_activation"]],
                mask=inputs.mask[0] if inputs.mask else None,
                input_masks=inputs.input_masks,
                recurrent_masks=inputs.recurrent_masks,
                zero_output_for_mask=options["zero_output_for_mask"],
                go_backwards=options["go_backwards"],
                return_sequences=d_output.shape.rank == 3,
                training=True,
            )
            results = portable.run(call)
        first = inner.gradient(results, variables, output_gradients=[d_output, d_state])
    *seconds, d_d_output, d_d_state = outer.gradient(
        first, [*variables, d_output, d_state], output_gradients=list(upstream)
    )
    dropout = len(inputs.mask) + len(inputs.input_masks) + len(inputs.recurrent_masks)
    return [*seconds, *[None] * dropout, None, None, d_d_output, d_d_state]
