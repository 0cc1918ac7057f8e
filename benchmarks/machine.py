"""Describes the machine, and measures its speed at multiplying matrices."""

import os
import platform
import re
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np

from tf_gru_addon import native

#: The number of rows and columns of the matrices to multiply.
SIZE = 2048

DISTRIBUTIONS = (
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "tf_keras",
    "numpy",
    "torch",
    "onnxruntime",
    "openvino",
    "jax",
    "flax",
)


def threads() -> int:
    """Returns the number of threads for every candidate: the usable cores."""
    return len(os.sched_getaffinity(0))


def configure() -> None:
    """Limits TensorFlow and the engines to `threads`; call it before anything runs."""
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # no warnings about retracing
    tf.config.threading.set_intra_op_parallelism_threads(threads())


def describe() -> dict:
    """Returns the machine and the versions of the measured packages."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"model name\s*: (.*)", info.read_text())):
        cpu = found[1]
    versions = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "cpu": cpu,
        "threads": threads(),
        "native": native.status().reason,
        "versions": versions,
    }


def sgemm() -> dict[str, Callable]:
    """Returns the product of two float32 square matrices, by library."""
    random = np.random.default_rng(0)
    a, b = (random.standard_normal((SIZE, SIZE)).astype(np.float32) for _ in range(2))
    out = np.empty_like(a)
    products = {"NumPy sgemm": lambda: np.matmul(a, b, out=out)}

    import tensorflow as tf

    a_tf, b_tf = tf.constant(a), tf.constant(b)
    products["TensorFlow sgemm"] = lambda: tf.matmul(a_tf, b_tf)
    try:
        import torch
    except ImportError:
        return products
    torch.set_num_threads(threads())
    a_torch, b_torch, out_torch = (torch.from_numpy(x.copy()) for x in (a, b, out))
    products["torch sgemm"] = lambda: torch.mm(a_torch, b_torch, out=out_torch)
    return products


def gflops(milliseconds: float, flops: float = 2 * SIZE**3) -> float:
    """Returns GFLOP/s; by default for a product of `sgemm`."""
    return flops / milliseconds / 1e6


class OtherLoad:
    """Measures how busy other processes keep the machine, from construction on."""

    def __init__(self):
        self._start = self._read()

    def fraction(self) -> float | None:
        """Returns the fraction of the cores' time, or None if the system hides it."""
        if self._start is None:
            return None
        others, elapsed = np.subtract(self._read(), self._start)
        return round(max(0.0, float(others / elapsed / os.cpu_count())), 3)

    @staticmethod
    def _read():
        path = Path("/proc/stat")
        if not path.exists():
            return None
        user, nice, system, _, _, irq, soft, steal = map(
            int, path.read_text().split()[1:9]
        )
        busy = (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")
        own = os.times()
        return busy - sum(own[:4]), time.perf_counter()
