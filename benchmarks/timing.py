"""Times of functions that are called in turn.

What the libraries' idle threads do decides how to measure. For a while after a call
they wait in a loop for the next one: those of OpenBLAS for 100 ms, of ONNX Runtime for
20 ms, of PyTorch's OpenMP for 5 ms (found by reading the process' CPU time while it
slept). On two cores whoever comes next would run on one and a half. To forbid it, where
that can be done, would measure a library at less than its best. So a function is called
for a block of some 30 ms, one call before it unmeasured, and each block begins only
when the process has come to rest.

The functions take blocks in turn, so that a machine that slows down does so for all,
and in another order each round, so that none always follows the same one. Measured so,
a forward pass at (32, 100, 64, 128) takes what it takes in a process of its own to 5 %,
and PyTorch's to 10 %; without the rest, OpenVINO's takes 3.2 ms for 2.5.
"""

import random
import statistics
import time
from collections.abc import Callable

#: Seconds that a block takes, and how many calls at most.
BLOCK = 0.03
CALLS = 200
#: Seconds to sleep while looking whether a thread is busy (a clock tick of the kernel's
#: accounting, 4 ms, must be short beside it), and for how long to look at most.
LOOK = 0.01
PATIENCE = 0.5


def settle() -> None:
    """Waits until no thread of this process is busy, half a second at most."""
    deadline = time.perf_counter() + PATIENCE
    while time.perf_counter() < deadline:
        busy = time.process_time()
        time.sleep(LOOK)
        if time.process_time() - busy < 0.2 * LOOK:
            return


def call(function: Callable) -> float:
    """Returns the seconds that a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def in_turn(functions: dict[str, Callable], rounds: int) -> dict[str, list[float]]:
    """Returns by name the milliseconds of each round: the median of a block's calls."""
    calls = {}
    for name, function in functions.items():
        function()
        settle()
        seconds = min(call(function) for _ in range(2))
        calls[name] = min(CALLS, max(1, round(BLOCK / seconds)))
    times = {name: [] for name in functions}
    order = random.Random(0)
    for _ in range(rounds):
        for name in order.sample(list(functions), len(functions)):
            function = functions[name]
            settle()
            function()
            block = [call(function) for _ in range(calls[name])]
            times[name].append(1000 * statistics.median(block))
    return times


def summary(times: list[float], overhead: list[float] | None = None) -> dict:
    """Returns what the times of a function's rounds say, in milliseconds.

    Args:
        times: A round each.
        overhead: What to take off, in the same rounds.

    Returns:
        `raw`, the median; `net`, the median without the overhead, or None where it
        cannot be told from 0; `spread`, between the quartiles of what `net` is of.
    """
    nets = times
    if overhead is not None:
        nets = [time - off for time, off in zip(times, overhead, strict=True)]
    net = statistics.median(nets)
    spread = 0.0
    if len(nets) > 1:
        first, _, third = statistics.quantiles(nets, method="inclusive")
        spread = third - first
    return {
        "raw": round(statistics.median(times), 5),
        "net": round(net, 5) if net > spread or overhead is None else None,
        "spread": round(spread, 5),
    }
