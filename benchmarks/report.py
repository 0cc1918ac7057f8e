"""The results as Markdown tables, which are also readable in a terminal."""

from benchmarks import options
from benchmarks.machine import SIZE, gflops
from benchmarks.problem import Shape
from benchmarks.speed import IDENTITIES, LIBRARY, NAMES

Rows = list[list[str]]


def table(head: list[str], rows: Rows) -> str:
    """Returns a table with right-aligned numbers."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells):
        first, *rest = zip(cells, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(c.rjust(w) for c, w in rest)]
        return f"| {' | '.join(cells)} |"

    rule = [f":{'-' * (widths[0] - 1)}", *(f"{'-' * (w - 1)}:" for w in widths[1:])]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def number(value: float | None) -> str:
    """Returns a number with at least three digits, or a dash for None."""
    if value is None:
        return "-"
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def ratio(of: dict | None, to: dict | None) -> float | None:
    """Returns the ratio of two candidates' net times, or None if one is unknown."""
    if of is None or to is None or of["net"] is None or to["net"] is None:
        return None
    return of["net"] / to["net"]


def speed(results: dict, passes: int) -> str:
    """Returns the tables of one kind of pass: milliseconds, ratios, share of sgemm.

    Args:
        results: By shape, as `speed.compare` returns them.
        passes: See `sgemm`.
    """
    found = {shape: result["times"] for shape, result in results.items()}
    there = next(iter(found.values()))
    names = [name for name in NAMES if name in there]

    def by_shape(names, cell):
        rows = [
            [shape, *(cell(times, name) for name in names)]
            for shape, times in found.items()
        ]
        return table(["B, T, F, U", *names], rows)

    def milliseconds(times, name):
        if times[name] is None:
            return "not installed"
        net = times[name]["net"]
        return "< noise" if net is None else number(net)

    parts = [
        "Milliseconds, those of identities taken off",
        by_shape([*names, *IDENTITIES], milliseconds),
        "Times as fast as Keras",
        by_shape(names, lambda times, name: number(ratio(times["Keras"], times[name]))),
    ]
    for own in ("native", LIBRARY):
        if own in names:
            parts += [
                f"{own}: times as fast as each",
                by_shape(
                    names,
                    lambda times, n, own=own: number(ratio(times[n], times[own])),
                ),
            ]
    if any(result["sgemm"] for result in results.values()):
        parts += [f"Beside sgemm of {SIZE} x {SIZE} matrices", sgemm(results, passes)]
    return "\n\n".join(parts)


def sgemm(results: dict, passes: int) -> str:
    """Returns the native engine's share of sgemm's rate on large shapes.

    Args:
        results: Of one kind of pass.
        passes: How many times a forward pass' products it computes.
    """
    rows = []
    for shape, found in results.items():
        if rates := found["sgemm"]:
            fastest = max(rates, key=rates.get)
            cells = [fastest, number(rates[fastest]), "-"]
            native = found["times"]["native"]
            if native is not None and native["net"] is not None:
                flops = passes * Shape(*map(int, shape.split(","))).flops()
                part = gflops(native["net"], flops) / rates[fastest]
                cells[-1] = f"{100 * part:.0f} %"
            rows.append([shape, *cells])
    return table(["B, T, F, U", "fastest", "GFLOP/s", "native reaches"], rows)


def of_options(results: dict) -> str:
    """Returns the time by layer and option, as a multiple of the plain layer's."""
    shapes = list(results)
    rows = []
    for layer, measured in results[shapes[0]].items():
        for option in measured:
            if option == options.PLAIN:
                continue
            cells = []
            for shape in shapes:
                times = results[shape][layer]
                plain = times[options.PLAIN]
                more = times[option]["raw"] - plain["raw"]
                times_plain = number(ratio(times[option], plain))
                cells.append(f"{times_plain} ({more:+.2f})")
            rows.append([f"{layer}, {option}", *cells])
    return table(["times plain (ms more)", *shapes], rows)


def single_step(results: dict) -> str:
    """Returns the times in microseconds, and as multiples of the identity's."""
    identity = results["identity"]["raw"]
    rows = [
        [name, number(1000 * found["raw"]), number(found["raw"] / identity)]
        for name, found in results.items()
    ]
    return table(["", "microseconds", "times identity"], rows)


def beside_keras(results: dict, unit: str) -> str:
    """Returns the numbers by name, and as fractions of Keras'."""
    rows = [
        [
            name,
            "not installed" if value is None else number(value),
            "-" if value is None else number(value / results["Keras"]),
        ]
        for name, value in results.items()
    ]
    return table(["", unit, "of Keras"], rows)
