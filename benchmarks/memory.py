"""How much memory does a training step need at its peak?

    python -m benchmarks.memory NAME

The script prints by how many MiB the peak of the resident memory exceeds the resident
memory before the process' first step of this size. Each candidate has its own process.
Before the measurement, inputs, weights and the upstream gradient are allocated, the
step is traced or compiled, and a tiny step has run.
"""

import subprocess
import sys
from pathlib import Path

from benchmarks.problem import Shape

SHAPE = Shape(64, 1000, 128, 256)
TINY = Shape(2, 3, 4, 5)
NAMES = ("native", "portable", "Keras", "tf_keras", "torch", "flax")


def measure() -> dict[str, float | None]:
    """Returns the MiB by name, each from a new process; None if not installed."""
    result = {}
    for name in NAMES:
        process = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", name],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        if process.returncode:
            raise RuntimeError(f"The step of {name} failed: {process.stderr}")
        result[name] = float(process.stdout) if process.stdout.strip() else None
    return result


def _resident(field: str) -> float:
    """Returns VmRSS (resident memory) or VmHWM (its peak) in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {field}.")


def main():
    """Measures one candidate in this process."""
    from benchmarks import machine
    from benchmarks.problem import problem
    from benchmarks.speed import makers

    machine.configure()

    (name,) = sys.argv[1:]
    try:
        makers(problem(TINY), training=True)[name]().run()
        step = makers(problem(SHAPE), training=True)[name]()
    except ImportError:
        return
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is resident now
    before = _resident("VmRSS")
    step.run()
    print(f"{_resident('VmHWM') - before:.1f}")


if __name__ == "__main__":
    main()
