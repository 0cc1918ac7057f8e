"""Times functions in alternating blocks of calls.

The method must handle the spinning of idle threads. After a call, a library's threads
poll for the next one: OpenBLAS' for 100 ms, ONNX Runtime's for 20 ms, PyTorch's OpenMP
threads for 5 ms (found from the process' CPU time during a sleep). On two cores, the
next library would have only one and a half. Disabling the spinning, where possible,
would slow the library down. So a function is called for a block of about 30 ms, after
one unmeasured call, and each block starts only when the process is idle.

Blocks of all functions alternate, so that a slow phase of the machine affects all. The
order changes every round, so that no function always follows the same one. With this
method, a forward pass at (32, 100, 64, 128) takes the same time as in its own process,
within 5 % for the native engine and 10 % for PyTorch. Without waiting for idleness,
OpenVINO takes 3.2 ms instead of 2.5.
"""

import random
import statistics
import time
from collections.abc import Callable

#: The seconds that a block takes, and its largest number of calls.
BLOCK = 0.03
CALLS = 200
#: The seconds to sleep between checks for busy threads (much longer than the clock tick
#: of the kernel's accounting, 4 ms), and the longest time to wait for them.
LOOK = 0.01
PATIENCE = 0.5


def settle() -> None:
    """Waits until no thread of this process is busy, for at most half a second."""
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
    """Returns the milliseconds of each round by name: the median call of a block."""
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
    """Summarises the times of a function's rounds, in milliseconds.

    Args:
        times: One time per round.
        overhead: The times to subtract, of the same rounds.

    Returns:
        `raw`, the median; `net`, the median minus the overhead, or None if it is not
        distinguishable from 0; `spread`, the interquartile range of the net times.
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
