"""Calls of an engine, past the layer."""

from tf_gru_addon.ops.call import Call

NAMES = ("inputs", "initial_state", "kernel", "recurrent_kernel", "bias")


def run(engine, *tensors, **options):
    """Returns an engine's outputs and last state.

    Args:
        engine: The engine.
        tensors: x, h0, kernel, recurrent kernel, bias or None.
        options: The rest of the call's attributes.
    """
    return engine.run(Call(**dict(zip(NAMES, tensors, strict=False)), **options))
