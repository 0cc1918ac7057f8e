"""The result of `accelerate`."""

from __future__ import annotations

from typing import NamedTuple

from tf_gru_addon.ops.engines import Explanation


class Acceleration(NamedTuple):
    """Which layers `accelerate` replaced in a model, and why it kept the others.

    `str()` and `repr()` give a report. Layers are named by their path in the model:
    "encoder/bidirectional/forward_gru".

    Attributes:
        replaced: For each replaced layer, the engine that runs it and why no faster one
            can.
        kept: For each recurrent layer that was kept, the reason.
        check: Which outputs were compared before and after, and the largest error.
    """

    replaced: dict[str, Explanation]
    kept: dict[str, str]
    check: str

    def __str__(self) -> str:
        count = len(self.replaced) + len(self.kept)
        if not count:
            return "The model has no recurrent layer."
        rows = [
            *(("replaced", path, _engine(why)) for path, why in self.replaced.items()),
            *(("kept", path, why) for path, why in self.kept.items()),
        ]
        width = max(len(path) for _, path, _ in rows)
        lines = [
            f"{len(self.replaced)} of {count} recurrent layers replaced.",
            *(f"  {what:<8}  {path:<{width}}  {why}" for what, path, why in rows),
            self.check,
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:  # Shown by notebooks and the interpreter.
        return str(self)


def _engine(explanation: Explanation) -> str:
    if explanation.engine != "portable":
        return explanation.engine
    return f"portable: {'; '.join(explanation.reasons['native'])}"
