"""The LiteRT engine's blocks of timesteps, full and partial."""

import dataclasses

import pytest
import tensorflow as tf
from support import calls

from tf_gru_addon.ops import portable
from tf_gru_addon.ops.litert import ENGINE


@pytest.mark.parametrize(
    ("T", "known"),
    [
        *((T, False) for T in (15, 16, 17, 127, 128, 129, 300)),
        *((T, True) for T in (16, 17, 130)),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_full_and_partial_blocks(T, known, masked):
    mask = [[t % 3 > row for t in range(T)] for row in range(2)] if masked else None
    case = {"shape": (2, T, 3, 2), "mask": mask, "go_backwards": masked}
    call = calls.make_call(*calls.numbers(**case), "float64")

    @tf.function(
        input_signature=[tf.TensorSpec([2, T if known else None, 3], tf.float64)]
    )
    def run(x):
        return ENGINE.run(dataclasses.replace(call, inputs=x))

    calls.check(run(call.inputs), portable.ENGINE.run(call), "float64")
