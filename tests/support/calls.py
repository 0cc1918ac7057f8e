"""Direct calls of an engine, without a layer, and their expected results."""

import functools
import itertools

import keras
import numpy as np
import tensorflow as tf
from support import oracles
from support.harness import assert_close

from tf_gru_addon import activations
from tf_gru_addon.ops import portable
from tf_gru_addon.ops.call import Call

#: The tensors of a call that have gradients, in order.
NAMES = ("inputs", "initial_state", "kernel", "recurrent_kernel", "bias")
FUNCTIONS = {
    "sigmoid": keras.activations.sigmoid,
    "tanh": keras.activations.tanh,
    "relu": keras.activations.relu,
    "linear": keras.activations.linear,
    "hard_sigmoid": activations.hard_sigmoid,
    "keras_hard_sigmoid": keras.activations.hard_sigmoid,
}
MASKS = {
    "none": [[1, 1, 1], [1, 1, 1]],
    "right_padded": [[1, 1, 0], [1, 0, 0]],
    "left_padded": [[0, 1, 1], [0, 0, 1]],
    "holes": [[1, 0, 1], [0, 1, 0]],
    "wholly_masked_row": [[0, 0, 0], [1, 1, 1]],
    "all_masked": [[0, 0, 0], [0, 0, 0]],
}
TWO = (False, True)


def _cases():
    """Yields each case's name and its arguments of `numbers`."""
    for after, phi, sigma in itertools.product(TWO, FUNCTIONS, FUNCTIONS):
        yield (
            f"{phi}, {sigma}, {'after' if after else 'before'}",
            {
                "shape": (1, 2, 2, 2),
                "reset_after": after,
                "activation": phi,
                "recurrent_activation": sigma,
            },
        )
    for after, inputs, recurrent in itertools.product(TWO, (0, 1, 3), (0, 1, 3)):
        yield (
            f"{inputs} and {recurrent} dropout masks, {'after' if after else 'before'}",
            {
                "reset_after": after,
                "use_bias": inputs <= recurrent,
                "input_masks": inputs,
                "recurrent_masks": recurrent,
                "training": True,
            },
        )
    for mask, zero, last, back in itertools.product(MASKS, TWO, TWO, TWO):
        words = [mask, zero * "zero", last * "last", back * "backwards"]
        yield (
            ", ".join(filter(None, words)),
            {
                "shape": (2, 3, 3, 2),
                "mask": MASKS[mask],
                "zero_output_for_mask": zero,
                "return_sequences": not last,
                "go_backwards": back,
                "training": zero ^ last ^ back,
                "unroll": last ^ back,
            },
        )
    for after, shape in itertools.product(
        TWO, [(17, 3, 37, 61), (1, 9, 5, 128), (9, 2, 1, 33)]
    ):
        mask = np.random.default_rng(3).integers(0, 4, shape[:2])
        options = {"shape": shape, "reset_after": after, "training": True, "mask": mask}
        yield f"{shape}, {'after' if after else 'before'}", options


CASES = dict(_cases())


def numbers(
    seed=0,
    shape=(2, 4, 3, 2),
    reset_after=True,
    use_bias=True,
    mask=None,
    input_masks=0,
    recurrent_masks=0,
    **options,
):
    """Returns arrays in float64, by `NAMES`, and a call's other attributes.

    Args:
        seed: The seed of the random numbers.
        shape: Batch, timesteps, features, units.
        reset_after: The convention.
        use_bias: Whether there is a bias.
        mask: None, or numbers (batch, timesteps). Masked inputs are NaN.
        input_masks: The number of dropout masks of the inputs.
        recurrent_masks: The number of dropout masks of the state.
        options: Other attributes of a call, with activations by name.
    """
    rng = np.random.default_rng(seed)
    B, T, F, U = shape
    shapes = [(B, T, F), (B, U), (F, 3 * U), (U, 3 * U)]
    if use_bias:
        shapes.append((2, 3 * U) if reset_after else (3 * U,))
    arrays = [rng.normal(0, 0.7, shape) for shape in shapes] + [None] * (not use_bias)
    if mask is not None:
        mask = np.array(mask, bool)
        arrays[0][~mask] = np.nan
    return arrays, {
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "reset_after": reset_after,
        "mask": mask,
        "input_masks": [2.0 * rng.integers(0, 2, (B, F)) for _ in range(input_masks)],
        "recurrent_masks": [
            2.0 * rng.integers(0, 2, (B, U)) for _ in range(recurrent_masks)
        ],
        **options,
    }


def make_call(arrays, options, dtype):
    """Returns the call with the arrays and attributes of `numbers`."""

    def tensor(array):
        return None if array is None else tf.constant(array, dtype)

    return Call(
        **dict(zip(NAMES, map(tensor, arrays), strict=True)),
        **{
            **options,
            "activation": FUNCTIONS[options["activation"]],
            "recurrent_activation": FUNCTIONS[options["recurrent_activation"]],
            "mask": None if options["mask"] is None else tf.constant(options["mask"]),
            "input_masks": [tensor(mask) for mask in options["input_masks"]],
            "recurrent_masks": [tensor(mask) for mask in options["recurrent_masks"]],
        },
    )


def loss_of(output, state):
    """Returns a scalar to which each element contributes differently."""
    return tf.reduce_sum(tf.sin(output)) + tf.reduce_sum(state**2)


def differentiable(call):
    """Returns the tensors of a call that have a gradient."""
    tensors = [getattr(call, name) for name in NAMES]
    return [tensor for tensor in tensors if tensor is not None]


def results(engine, call):
    """Returns outputs, last state, and the gradients of `loss_of`."""
    tensors = differentiable(call)
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        output, state = engine.run(call)
        loss = loss_of(output, state)
    return [output, state, *tape.gradient(loss, tensors)]


def oracle(arrays, options):
    """Returns the oracle's counterpart of `results`, for the arrays of `numbers`."""
    options = dict(options)
    sequences = options.pop("return_sequences", True)
    for name in ("training", "unroll"):
        options.pop(name, None)
    for name in ("input_masks", "recurrent_masks"):
        options[name] = options[name] or None

    def forward(*arrays):
        outputs, last, state = oracles.gru(*arrays, **options)
        return (outputs if sequences else last), state

    def loss(*arrays):
        output, state = forward(*arrays)
        return np.sin(output).sum() + (state**2).sum()

    arrays = [array for array in arrays if array is not None]
    return [*forward(*arrays), *oracles.gradients(loss, arrays)]


@functools.cache
def expected(name):
    """Returns the results of a case.

    The oracle computes them. It needs one run per element for the gradients, so the
    portable engine in float64 replaces it for large cases.
    """
    arrays, options = numbers(**CASES[name])
    if arrays[3].size > 100:
        return results(portable.ENGINE, make_call(arrays, options, "float64"))
    return oracle(arrays, options)


def check(actual, expected, dtype):
    """Fails unless two lists of results agree."""
    for i, (a, e) in enumerate(zip(actual, expected, strict=True)):
        assert_close(tf.cast(a, "float64"), e, dtype, f"result {i}")
