"""The measurements of a deployment, as a table and as JSON."""

from __future__ import annotations

import json
from typing import NamedTuple

import rich.box
import rich.console
import rich.table

from tf_gru_addon.export.parity_report import readable_size


class Form(NamedTuple):
    """A form of the model, with its measurements.

    Attributes:
        name: "Keras", or a target's name, with ", a step" for its one-step form.
        step: Whether it takes one timestep, with its states as inputs and outputs.
        size: Its size in bytes.
        latency_ms: Milliseconds for one sequence of 50 timesteps, or for one step.
        accuracy: The accuracy on the test set.
        agreeing: The fraction of the test set on which it predicts the same class as
            the trained model.
        max_error: The largest difference between its outputs and the trained model's.
        refusal: Why this form cannot be exported; if set, only `name` and `step` have
            a meaning.
    """

    name: str
    step: bool = False
    size: int = 0
    latency_ms: float = 0.0
    accuracy: float = 0.0
    agreeing: float = 0.0
    max_error: float = 0.0
    refusal: str = ""


def as_json(title: str, forms: list[Form]) -> str:
    """Returns forms as JSON; a refused one has only its name and the reason."""
    rows = [
        {"name": form.name, "refusal": form.refusal}
        if form.refusal
        else {key: value for key, value in form._asdict().items() if key != "refusal"}
        for form in forms
    ]
    return json.dumps({"run": title, "forms": rows}, indent=2) + "\n"


def print_deployment(forms: list[Form], title: str) -> None:
    """Prints forms as a table.

    Args:
        forms: The forms, from `deploy`.
        title: The table's title.
    """
    console = rich.console.Console(highlight=False)
    console.print(f"\n {title}", style="bold", markup=False)
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    table.add_column("form")
    for heading in ("size", "latency", "accuracy", "same answers", "error"):
        table.add_column(heading, justify="right")
    for form in forms:
        if not form.refusal:
            table.add_row(
                form.name,
                readable_size(form.size),
                f"{form.latency_ms:.3f} ms",
                f"{form.accuracy:.4f}",
                f"{form.agreeing:.2%}",
                f"{form.max_error:.0e}",
            )
    console.print(table)
    refusals: dict[str, list[str]] = {}
    for form in forms:
        if form.refusal:
            refusals.setdefault(form.refusal, []).append(form.name)
    for refusal, names in refusals.items():
        console.print(f" no {'; '.join(names)}: {refusal}", markup=False)
