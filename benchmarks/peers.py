"""Candidates of other frameworks, each with its fastest options.

Their inputs have the layout that they prefer, timesteps first; Keras' layers must
transpose theirs. Weights, inputs and outputs stay in the frameworks' own arrays. Each
function imports its framework, and raises ImportError if it is not installed.
"""

import numpy as np

from benchmarks.problem import Candidate, Problem


def _time_first(array):
    """Swaps the axes of batch and timesteps."""
    return np.ascontiguousarray(np.swapaxes(array, 0, 1))


def _swap_gates(array):
    """Swaps z and r along the last axis: PyTorch's order is r, z, n."""
    z, r, h = np.split(array, 3, axis=-1)
    return np.concatenate([r, z, h], axis=-1)


def _torch(problem, threads):
    import torch

    torch.set_num_threads(threads)
    layer = torch.nn.GRU(problem.shape.features, problem.shape.units)
    kernel, recurrent_kernel, bias = map(_swap_gates, problem.weights)
    with torch.no_grad():
        for weight, array in zip(
            layer.parameters(), (kernel.T, recurrent_kernel.T, *bias), strict=True
        ):
            weight.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    return layer, torch.from_numpy(_time_first(problem.inputs))


def torch_forward(problem: Problem, threads: int) -> Candidate:
    """Returns `torch.nn.GRU` in inference mode."""
    import torch

    layer, x = _torch(problem, threads)

    def run():
        with torch.inference_mode():
            return layer(x)[0]

    return Candidate(run, lambda y: [_time_first(y.numpy())])


def torch_training(problem: Problem, threads: int) -> Candidate:
    """Returns `torch.nn.GRU` and its gradients."""
    import torch

    layer, x = _torch(problem, threads)
    x.requires_grad_()
    upstream = torch.from_numpy(_time_first(problem.upstream))
    variables = [x, *layer.parameters()]

    def run():
        return torch.autograd.grad(layer(x)[0], variables, upstream)

    def read(gradients):
        dx, kernel, recurrent_kernel = (d.numpy() for d in gradients[:3])
        return [
            _time_first(dx),
            _swap_gates(kernel.T),
            _swap_gates(recurrent_kernel.T),
        ]

    return Candidate(run, read)


def onnxruntime_forward(problem: Problem, threads: int) -> Candidate:
    """Returns a GRU node in ONNX Runtime, with inputs and outputs bound in advance."""
    import onnxruntime

    from benchmarks.onnx_model import onnx_model

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        onnx_model(problem), options, providers=["CPUExecutionProvider"]
    )
    B, T, _, U = problem.shape
    outputs = np.empty((T, 1, B, U), np.float32)
    x = onnxruntime.OrtValue.ortvalue_from_numpy(_time_first(problem.inputs))
    y = onnxruntime.OrtValue.ortvalue_from_numpy(outputs)
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", x)
    binding.bind_ortvalue_output("y", y)

    def run():
        session.run_with_iobinding(binding)
        return y

    return Candidate(run, lambda y: [_time_first(y.numpy()[:, 0])])


def openvino_forward(problem: Problem, threads: int) -> Candidate:
    """Returns the ONNX model in OpenVINO, in float32; its default is bfloat16."""
    import openvino

    from benchmarks.onnx_model import onnx_model

    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(onnx_model(problem)),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        },
    )
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(_time_first(problem.inputs)))

    def run():
        request.infer()
        return request.get_output_tensor().data

    return Candidate(run, lambda y: [_time_first(y.reshape(y.shape[0], *y.shape[-2:]))])


def _flax(problem):
    """Returns a flax RNN, its parameters and the inputs.

    The cell has one kernel per gate. The gates z and r have one bias each, the sum of
    the input and the recurrent bias.
    """
    import jax
    from flax import linen

    kernels = np.split(problem.kernel, 3, axis=-1)
    recurrent_kernels = np.split(problem.recurrent_kernel, 3, axis=-1)
    biases, recurrent_biases = (np.split(bias, 3) for bias in problem.bias)
    cell = {"hn": {"kernel": recurrent_kernels[2], "bias": recurrent_biases[2]}}
    cell["in"] = {"kernel": kernels[2], "bias": biases[2]}
    for i, gate in enumerate("zr"):
        bias = biases[i] + recurrent_biases[i]
        cell[f"i{gate}"] = {"kernel": kernels[i], "bias": bias}
        cell[f"h{gate}"] = {"kernel": recurrent_kernels[i]}
    layer = linen.RNN(linen.GRUCell(problem.shape.units, name="cell"), time_major=True)
    x = jax.numpy.asarray(_time_first(problem.inputs))
    return layer, jax.tree.map(jax.numpy.asarray, {"params": {"cell": cell}}), x


def flax_forward(problem: Problem, threads: int) -> Candidate:
    """Returns a compiled `flax.linen.RNN`; XLA uses every available thread."""
    del threads
    import jax

    layer, parameters, x = _flax(problem)
    function = jax.jit(layer.apply).lower(parameters, x).compile()

    def run():
        return function(parameters, x).block_until_ready()

    return Candidate(run, lambda y: [_time_first(np.asarray(y))])


def flax_training(problem: Problem, threads: int) -> Candidate:
    """Returns a compiled `flax.linen.RNN` and its gradients; XLA uses every thread."""
    del threads
    import jax

    layer, parameters, x = _flax(problem)
    upstream = jax.numpy.asarray(_time_first(problem.upstream))

    def step(parameters, x, upstream):
        return jax.vjp(layer.apply, parameters, x)[1](upstream)

    function = jax.jit(step).lower(parameters, x, upstream).compile()

    def run():
        return jax.block_until_ready(function(parameters, x, upstream))

    def read(gradients):
        weights, dx = gradients
        cell = weights["params"]["cell"]
        kernels = [
            np.concatenate([cell[kind + g]["kernel"] for g in "zrn"], axis=-1)
            for kind in "ih"
        ]
        return [_time_first(np.asarray(dx)), *kernels]

    return Candidate(run, read)


#: By name: the functions that make a forward pass, and a training step if any.
PEERS = {
    "torch": (torch_forward, torch_training),
    "ONNX Runtime": (onnxruntime_forward, None),
    "OpenVINO": (openvino_forward, None),
    "flax": (flax_forward, flax_training),
}
