"""An independent GRU in float64 NumPy: values, and gradients by complex steps.

It shares no code with the package. It computes timestep by timestep and gate by gate,
and row by row where there is a mask. Its gradients need no formula: the derivative of
an analytic f is Im f(x + i e) / e, exact up to rounding for a tiny e.
"""

import numpy as np


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _hard_sigmoid(slope):
    def f(x):
        y = slope * x + 0.5
        return np.where(y.real <= 0, 0, np.where(y.real >= 1, 1, y))

    return f


ACTIVATIONS = {
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "linear": lambda x: x,
    "relu": lambda x: np.where(x.real > 0, x, 0),
    "hard_sigmoid": _hard_sigmoid(0.2),
    "keras_hard_sigmoid": _hard_sigmoid(1 / 6),
    "softsign": lambda x: x / (1 + abs(x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "elu": lambda x: np.where(x.real > 0, x, np.exp(x) - 1),
    "leaky_relu": lambda x: np.where(x.real > 0, x, 0.2 * x),
}


def gru(
    x,
    h0,
    kernel,
    recurrent_kernel,
    bias=None,
    *,
    reset_after,
    activation="tanh",
    recurrent_activation="sigmoid",
    mask=None,
    zero_output_for_mask=False,
    go_backwards=False,
    input_masks=None,
    recurrent_masks=None,
):
    """Returns the outputs (B, T, U), the last output (B, U), the last state (B, U)."""
    phi, sigma = ACTIVATIONS[activation], ACTIVATIONS[recurrent_activation]
    B, T, _ = x.shape
    U = h0.shape[1]
    dtype = np.result_type(x, h0, kernel, recurrent_kernel, np.float64)
    if bias is None:
        b_in = b_rec = np.zeros(3 * U)
    elif reset_after:
        b_in, b_rec = bias
        dtype = np.result_type(dtype, bias)
    else:
        b_in, b_rec = bias, np.zeros(3 * U)
        dtype = np.result_type(dtype, bias)
    if mask is not None:
        x = np.where(np.asarray(mask)[..., None], x, 0)

    outputs = np.zeros((B, T, U), dtype)
    state = h0.astype(dtype)
    for b in range(B):
        h = state[b]
        previous = np.zeros(U, dtype)
        for n in range(T):
            t = T - 1 - n if go_backwards else n
            if mask is not None and not mask[b, t]:
                outputs[b, n] = 0 if zero_output_for_mask else previous
                continue
            gates = []
            for g in range(3):
                xg = x[b, t]
                hg = h
                if input_masks is not None:
                    xg = xg * input_masks[g % len(input_masks)][b]
                if recurrent_masks is not None:
                    hg = hg * recurrent_masks[g % len(recurrent_masks)][b]
                columns = slice(g * U, (g + 1) * U)
                a = xg @ kernel[:, columns] + b_in[columns]
                u = recurrent_kernel[:, columns]
                if g < 2:
                    gates.append(sigma(a + hg @ u + b_rec[columns]))
                elif reset_after:
                    gates.append(phi(a + gates[1] * (hg @ u + b_rec[columns])))
                else:
                    gates.append(phi(a + (gates[1] * hg) @ u))
            z, _, candidate = gates
            h = z * h + (1 - z) * candidate
            outputs[b, n] = previous = h
        state[b] = h
    last = outputs[:, -1] if T else np.zeros((B, U), dtype)
    return outputs, last, state


def gradients(loss, arrays, step=1e-30):
    """Returns the gradient of `loss(*arrays)`, a real scalar, for each array."""
    results = []
    for i, array in enumerate(arrays):
        gradient = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            moved = array.astype(np.complex128)
            moved[index] += 1j * step
            arguments = [*arrays[:i], moved, *arrays[i + 1 :]]
            gradient[index] = loss(*arguments).imag / step
        results.append(gradient)
    return results
