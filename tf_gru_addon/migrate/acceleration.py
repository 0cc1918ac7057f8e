"""What `accelerate` did."""

from typing import NamedTuple

from tf_gru_addon.ops.engines import Explanation


class Acceleration(NamedTuple):
    """What `accelerate` replaced in a model and what not, in words where shown.

    A layer is named by its path in the model: "encoder/bidirectional/forward_gru".

    Attributes:
        replaced: For each layer replaced, the engine that runs it, and why no other.
        kept: For each recurrent layer left as it was, the reason.
        check: What was compared before and after, and how closely it agrees.
    """

    replaced: dict[str, Explanation]
    kept: dict[str, str]
    check: str

    def __str__(self) -> str:
        count = len(self.replaced) + len(self.kept)
        if not count:
            return "The model has no recurrent layer."
        rows = [
            ("replaced", path, _engine(why)) for path, why in self.replaced.items()
        ] + [("kept", path, why) for path, why in self.kept.items()]
        width = max(len(path) for _, path, _ in rows)
        lines = [
            f"{len(self.replaced)} of {count} recurrent layers replaced.",
            *(f"  {what:<8}  {path:<{width}}  {why}" for what, path, why in rows),
            self.check,
        ]
        return "\n".join(lines)

    __repr__ = __str__  # what a notebook and the interpreter show


def _engine(explanation: Explanation) -> str:
    if explanation.engine != "portable":
        return explanation.engine
    return f"portable: {'; '.join(explanation.reasons['native'])}"
