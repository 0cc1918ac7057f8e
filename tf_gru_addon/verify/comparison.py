"""Whether another form of a model computes what the model computes.

Shapes and dtypes must be equal. The error of the numbers (`difference`) may be as large
as the tolerance, or as a small multiple of what rounding alone changes in this model on
these inputs (`perturbation`).
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import keras
import numpy as np

from tf_gru_addon._compat import layers_of
from tf_gru_addon.verify import perturbation
from tf_gru_addon.verify.difference import difference, difference_of_form, severity
from tf_gru_addon.verify.inputs import Arrays, Run
from tf_gru_addon.verify.perturbation import FACTOR

_BATCH = 256  # The number of rows to run at a time.


@dataclass(frozen=True)
class Comparison:
    """How the outputs of two forms of a model compare, input by input.

    A case is *undecided* where rounding alone moves the model's outputs so far that a
    correct form is as far away as a wrong one. To pass, more than half of the cases
    must be decided, and the error of each of these must be within its limit.

    Attributes:
        cases: Name and largest error of each input. An error is relative where the
            model's number is above 1, and infinite where there is a problem.
        tolerance: The largest error allowed where rounding does not explain more.
        rounding: How far rounding alone moves the model's outputs, for each case whose
            error is above the tolerance.
        problems: For each case that cannot be compared in numbers, the reason: the
            form does not run, or its outputs have other shapes or dtypes.
        decidable: How far rounding may move the outputs of a decided case.

    Example:
        >>> comparison = Comparison((("short", 2e-7), ("long", 3e-5)), 1e-5)
        >>> comparison.passed, comparison.failure
        (False, ('long', 3e-05))
        >>> Comparison(comparison.cases, 1e-5, rounding={"long": 6e-6}).passed
        True
    """

    cases: tuple[tuple[str, float], ...]
    tolerance: float
    rounding: Mapping[str, float] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    decidable: float = 1e-2

    @property
    def undecided(self) -> list[str]:
        """The cases that do not tell right from wrong."""
        return [name for name, x in self.rounding.items() if x > self.decidable]

    @property
    def spread(self) -> float:
        """How far rounding alone moves the outputs in the worst case."""
        return max(self.rounding.values(), default=0.0)

    @property
    def max_error(self) -> float:
        """The largest error of the decided cases; NaN if one is NaN or none is."""
        return max(self._decided.values(), key=severity, default=math.nan)

    @property
    def allowed(self) -> float:
        """The largest error allowed in any decided case."""
        return max(map(self.limit, self._decided), default=self.tolerance)

    @property
    def failure(self) -> tuple[str, float] | None:
        """Name and error of the worst decided case that fails, or None."""
        failed = [
            (name, error)
            for name, error in self._decided.items()
            if name in self.problems
            or not error <= self.limit(name)  # so that NaN fails
        ]
        return max(failed, key=lambda case: severity(case[1]), default=None)

    @property
    def passed(self) -> bool:
        """Whether the form computes what the model computes."""
        judged = 2 * len(self.undecided) < len(self.cases)
        return judged and self.failure is None

    @property
    def _decided(self) -> dict[str, float]:
        undecided = set(self.undecided)
        return {name: error for name, error in self.cases if name not in undecided}

    def limit(self, case: str) -> float:
        """Returns the largest error allowed in a case.

        Args:
            case: The name of the case.
        """
        return max(self.tolerance, FACTOR * self.rounding.get(case, 0.0))

    @property
    def reason(self) -> str:
        """Why the form did not pass, as the end of a sentence that begins with it."""
        if self.passed:
            return ""
        if self.failure is None:
            return (
                "cannot be judged: rounding alone moves the model's outputs by up to "
                f"{self.spread:.2g}, in {len(self.undecided)} of "
                f"{len(self.cases)} cases by more than {self.decidable:.2g}"
            )
        name, error = self.failure
        if problem := self.problems.get(name):
            return f"differs from the model for the case {name!r}: {problem}"
        allowed = f"{self.limit(name):.2g}"
        if self.limit(name) > self.tolerance:
            allowed += f", {FACTOR} times what rounding alone changes"
        return (
            f"differs from the model by {error:.2g} for the case {name!r}; allowed is "
            f"{allowed}"
        )

    def __or__(self, other: Comparison) -> Comparison:
        """Returns the cases of both; of those with one name, the larger numbers."""
        return replace(
            self,
            cases=tuple(_worst(dict(self.cases), dict(other.cases)).items()),
            rounding=_worst(self.rounding, other.rounding),
            problems={**self.problems, **other.problems},
        )

    def rows(self) -> list[str]:
        """Returns a line for each case, and an explanation of raised limits."""
        rows = [self._row(name, error) for name, error in self.cases]
        if self.undecided or self.allowed > self.tolerance:
            rows += [
                f"Above {self.tolerance:.0e}, allowed is {FACTOR} times what",
                "one unit in the last place of weights and inputs changes.",
            ]
        return rows

    def _row(self, name: str, error: float) -> str:
        text = f"{error:.0e}  {name}"
        if name in self.problems:
            return f"{text}: {self.problems[name]}"
        if name not in self.rounding:
            return text
        text += f"; rounding alone: {self.rounding[name]:.0e}"
        return text + (", undecided" if name in self.undecided else "")


def compare(
    expected: Run,
    received: Run,
    cases: Mapping[str, Arrays],
    model: keras.Model,
    tolerance: float | None = None,
    others: Mapping[str, Run] | None = None,
) -> Comparison:
    """Runs a model and other forms of it, such as an export, on the same inputs.

    Args:
        expected: Returns the model's outputs, as `run_model` does.
        received: Returns the other form's outputs, in the same order.
        cases: The inputs by the name of the case, as from `example_inputs`.
        model: The model whose weights `expected` reads.
        tolerance: The largest error allowed where rounding does not explain more. None
            takes the default for the dtypes that the model computes in.
        others: Runs further forms, by the prefix of the names of their cases.
    """
    layers = [model, *layers_of(model)]
    if tolerance is None:
        tolerance = perturbation.tolerance(layers)
    forms = {"": received, **(others or {})}
    empty = Comparison((), tolerance, decidable=perturbation.decidable(layers))
    results = dict.fromkeys(forms, empty)
    for name, arrays in cases.items():
        for part in _parts(arrays):
            wanted = expected(part)
            rounding = functools.cache(
                functools.partial(perturbation.rounding, expected, part, wanted, layers)
            )
            for prefix, run in forms.items():
                try:
                    got = [np.asarray(y) for y in run(part)]
                except Exception as error:  # A runtime may raise anything.
                    reason = str(error).strip() or type(error).__name__
                    problem = f"the export does not run: {reason}"
                    one = _unlike(prefix + name, problem, tolerance)
                else:
                    one = compare_outputs(
                        wanted, got, layers, rounding, prefix + name, tolerance
                    )
                results[prefix] |= one
    return functools.reduce(operator.or_, results.values())


def compare_outputs(
    expected: Arrays,
    received: Arrays,
    layers: list[keras.layers.Layer],
    rounding: Callable[[], float],
    name: str = "",
    tolerance: float | None = None,
) -> Comparison:
    """Compares the outputs of two forms of a model for the same inputs.

    Args:
        expected: The model's outputs.
        received: The other form's outputs.
        layers: The model and the layers in it.
        rounding: Returns how far rounding alone moves the outputs. It is called only
            if the error is above the tolerance.
        name: A name for the case.
        tolerance: As `compare` takes it.
    """
    if tolerance is None:
        tolerance = perturbation.tolerance(layers)
    if problem := difference_of_form(expected, received):
        return _unlike(name, problem, tolerance)
    error = difference(expected, received)
    moved = {name: rounding()} if error > tolerance else {}
    decidable = perturbation.decidable(layers)
    return Comparison(((name, error),), tolerance, moved, decidable=decidable)


def _unlike(name: str, problem: str, tolerance: float) -> Comparison:
    """Returns a case that cannot be compared in numbers."""
    return Comparison(((name, math.inf),), tolerance, problems={name: problem})


def _parts(arrays: Arrays) -> Iterator[Arrays]:
    """Yields an example in parts of at most `_BATCH` rows."""
    rows = len(arrays[0])
    for start in range(0, max(rows, 1), _BATCH):
        yield [x[start : start + _BATCH] if rows > _BATCH else x for x in arrays]


def _worst(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """Returns the larger number of each name."""
    found = {**one, **other}
    return {name: max(one.get(name, x), x, key=severity) for name, x in found.items()}
