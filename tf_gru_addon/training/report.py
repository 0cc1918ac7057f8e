"""Prints the metrics of a run."""

from __future__ import annotations

from typing import Any

import rich.box
import rich.console
import rich.table


def print_report(metrics: dict[str, Any], title: str) -> None:
    """Prints metrics as a table.

    Args:
        metrics: The metrics, from `train` or `evaluate`.
        title: The table's title.
    """
    console = rich.console.Console(highlight=False)
    console.print(f"\n {title}", style="bold", markup=False)
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    table.add_column("data")
    for heading in ("sequences", "loss", "accuracy"):
        table.add_column(heading, justify="right")
    for name, split in metrics["parts"].items():
        table.add_row(
            name,
            str(split["sequences"]),
            f"{split['loss']:.4f}",
            f"{split['accuracy']:.4f}",
        )
    console.print(table)
    facts = rich.table.Table(box=None, show_header=False, padding=(0, 1))
    for name, value in _facts(metrics):
        facts.add_row(name, value)
    console.print(facts)


def _facts(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [("parameters", f"{metrics['parameters']:,}")]
    if "seconds" in metrics:
        facts.append(("epochs", str(metrics["epochs"])))
        facts.append(("seconds of training", f"{metrics['seconds']:.1f}"))
    for name, count in metrics.get("files", {}).items():
        facts.append((name, _readable(count)))
    if parity := metrics.get("saved_model"):
        facts.append(
            (
                "SavedModel, reloaded",
                f"differs from the model by {parity['max_difference']:.0e} "
                f"(allowed: {parity.get('allowed', parity['tolerance']):.0e})",
            )
        )
    return facts


def _readable(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
