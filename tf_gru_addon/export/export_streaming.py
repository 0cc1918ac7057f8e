"""Exports one step of a causal model, and compares the export with the model."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_gru_addon import arguments
from tf_gru_addon.errors import ExportError
from tf_gru_addon.export.checks import Checked, array_of, check, refusing
from tf_gru_addon.export.extras import require_extra
from tf_gru_addon.export.parity import measure, new_output
from tf_gru_addon.export.parity_report import ParityReport, require_passed
from tf_gru_addon.export.steps import output_names
from tf_gru_addon.export.target import STEP, Named, StepOptions, Target
from tf_gru_addon.export.targets import target_of
from tf_gru_addon.files import size
from tf_gru_addon.flat_model import flat_model
from tf_gru_addon.streaming.streaming_model import StreamingModel
from tf_gru_addon.verify import Arrays, Comparison, Run, compare, run_model


def export_streaming(
    model: keras.Model,
    path: str | os.PathLike[str],
    format: str | Target = "saved_model",
    *,
    mask: bool = False,
    batch_size: int | None = None,
    quantize: str = "none",
    representative: np.ndarray | None = None,
    tolerance: float | None = None,
    examples: Mapping[str, Arrays] | None = None,
    only_examples: bool = False,
) -> ParityReport:
    """Writes a model as a step that takes frames and states and returns new states.

    A step takes `frames` (batch, n, ...), with `mask=True` also `mask` (batch, n), and
    the states, by the names in `StreamingModel(model).states`. It returns `output`
    (`output_0`, `output_1`, ... if the model has several) and the new states. Initial
    states are zeros. To start a new sequence in a row, set its states to zeros.

    - `"saved_model"`: a folder with the signatures `step` and `initial_states`. The
      latter returns the states for a scalar `batch_size`. n may be any number.
    - `"litert"`: a file with only built-in ops and the signature `step`. n is 1.
    - `"onnx"`: a file with a GRU node for each GRU. n is at least 1. The names of the
      new states have the prefix `next_`.

    The file is run in its runtime and compared with the model. It gets whole sequences
    in chunks of different lengths, and sequences that start anew in some rows.

    Args:
        model: A built Sequential or functional model whose layers are causal; see
            `StreamingModel`.
        path: The file or folder to write. It must not exist.
        format: The name of a target: "saved_model", "litert" or "onnx".
        mask: Whether the step takes a mask, which is False where a row has no frame.
        batch_size: A fixed number of rows; None for any number.
        quantize: How "litert" stores the weights: "none", "float16", "dynamic" (int8
            weights) or "int8" (int8 weights and arithmetic).
        representative: For "int8": typical sequences, (sequences, timesteps, ...), from
            which the converter takes the ranges.
        tolerance: The largest error allowed, unless rounding alone makes a larger one;
            see `ParityReport`. None means 1e-5, or more for quantized weights.
        examples: More sequences to compare on: lists of one array, by name.
        only_examples: Whether `examples` replaces the random sequences.

    Returns:
        The report. Its latency is that of one frame. Keras has no such export.

    Raises:
        ExportError: A layer is not causal or not supported by the format (the message
            names it), `path` exists, or the outputs differ. If they differ, the file is
            kept.
        ImportError: The format's runtime is not installed.
        RunError: The file cannot be written.

    Example:
        >>> import keras
        >>> import tensorflow as tf
        >>> import tf_gru_addon
        >>> from tf_gru_addon.export import export_streaming
        >>> model = keras.Sequential()
        >>> model.add(keras.Input((None, 3)))
        >>> model.add(tf_gru_addon.GRU(4, name="gru"))
        >>> export_streaming(model, "step").passed
        True
        >>> loaded = tf.saved_model.load("step")
        >>> initial_states, step = (
        ...     loaded.signatures[name] for name in ("initial_states", "step")
        ... )
        >>> states = initial_states(batch_size=tf.constant(2))
        >>> results = step(frames=tf.ones([2, 1, 3]), **states)
        >>> output = results.pop("output")
        >>> output.shape, list(results)
        (TensorShape([2, 4]), ['gru_state'])
    """
    target = format if isinstance(format, Target) else target_of(format)
    _check_options(target, batch_size, quantize, representative, mask)
    streaming = StreamingModel(model)
    if representative is not None:
        representative = array_of("representative", representative, streaming.frames)
    checked = check(
        model,
        path,
        tolerance=target.tolerances[quantize] if tolerance is None else tolerance,
        examples=examples,
        only_examples=only_examples,
    )
    require_extra(f"{target.name} files", *target.packages)
    frames = target.step_frames
    options = StepOptions(mask, batch_size, frames, quantize, representative)
    with new_output(path) as unfinished:
        target.write_step(streaming, options, unfinished)
    step = target.open(checked.path, STEP).run
    parity = _Parity(streaming, step, options, target.least_frames, checked)
    suffix = "" if quantize == "none" else f", {quantize}"
    return require_passed(
        ParityReport(
            format=f"{target.name}, one step{suffix}",
            path=checked.path,
            size=size(checked.path),
            ops=target.count_ops(checked.path),
            comparison=parity.compare(checked.tolerance),
            latency_ms=parity.latency(),
            keras_reason="Keras has no export of a step",
        )
    )


def load_streaming(
    target: Target, path: str | os.PathLike[str], model: keras.Model
) -> Run:
    """Returns a function that runs whole sequences through a step, in chunks.

    Args:
        target: The target.
        path: A file or folder that `export_streaming` wrote, without a mask.
        model: The model that it was made from.
    """
    options = StepOptions(frames=target.step_frames)
    step = target.open(Path(path), STEP).run
    return _Parity(StreamingModel(model), step, options, target.least_frames).run


def _check_options(
    target: Target, batch_size: Any, quantize: Any, representative: Any, mask: Any
) -> None:
    with refusing():
        arguments.boolean("mask", mask)
        if batch_size is not None:
            expected = "None or a positive integer"
            arguments.integer("batch_size", batch_size, 1, expected)
    if not isinstance(quantize, str) or quantize not in target.tolerances:
        raise ExportError(
            f"quantize must be one of {', '.join(target.tolerances)} for the format "
            f"{target.name}; received: {quantize!r}."
        )
    if (quantize == "int8") != (representative is not None):
        raise ExportError(
            'quantize="int8" and representative (typical sequences) go together: pass '
            "both or neither."
        )
    if quantize == "int8" and mask:
        raise ExportError('quantize="int8" supports no mask: export without mask=True.')


class _Parity:
    """Runs a step over whole sequences, and compares it with the model."""

    def __init__(
        self,
        streaming: StreamingModel,
        step: Callable[[Named], Named],
        options: StepOptions,
        least: int,
        checked: Checked | None = None,
    ) -> None:
        self._streaming, self._step = streaming, step
        self._masked, self._frames = options.masked, options.frames
        self._least = least
        self._names = output_names(streaming)
        self._slots = streaming.causal.outputs
        self._flat = flat_model(streaming.model) if checked is None else checked.model
        self._rng = np.random.default_rng(3)
        rows = options.batch_size
        examples = {
            name: x if rows is None else np.resize(x, (rows, *x.shape[1:]))
            for name, (x,) in (checked.cases if checked else {}).items()
        }
        # The smallest is first: the latency is measured on it.
        self._examples = dict(sorted(examples.items(), key=lambda item: item[1].size))

    def compare(self, tolerance: float) -> Comparison:
        """Compares the step with the model.

        Args:
            tolerance: The largest error allowed.
        """

        def compared(
            expected: Run, received: Run, cases: Mapping[str, Arrays]
        ) -> Comparison:
            return compare(expected, received, cases, self._flat, tolerance)

        examples = {name: [x] for name, x in self._examples.items()}
        result = compared(self._model, self.run, examples)
        longest = max(self._examples.values(), key=lambda x: x.shape[:2][::-1])
        if self._masked:
            mask = self._rng.random(longest.shape[:2]) < 0.6
            mask[0, :3] = False
            case = {"a mask with holes": [longest, mask]}
            result |= compared(self._model, self.run, case)
        if self._flat.inputs[0].shape[1] is None and longest.shape[1] > 1:
            case = {"every other row starts anew": [longest]}
            result |= compared(self._model_anew, self._run_anew, case)
        return result

    def latency(self) -> float:
        """Returns the median latency of one frame in milliseconds."""
        x = next(iter(self._examples.values()))
        inputs = {"frames": x[:, :1], **self._begin(x)}
        if self._masked:
            inputs["mask"] = np.ones((len(x), 1), bool)
        return measure(lambda _: list(self._step(inputs).values()), [])

    def _model(self, arrays: Arrays) -> Arrays:
        x, *mask = arrays
        if not mask:
            return run_model(self._flat, [x])
        with warnings.catch_warnings():
            # Keras warns if no layer of the model uses the mask.
            warnings.filterwarnings("ignore", ".*does not support masking")
            outputs = self._flat([x], mask=mask, training=False)
        return [np.asarray(y) for y in keras.tree.flatten(outputs)]

    def run(self, arrays: Arrays) -> Arrays:
        """Runs whole sequences, in chunks."""
        x, *mask = arrays
        return self._chunks(x, self._begin(x), *mask)[0]

    def _model_anew(self, arrays: Arrays) -> Arrays:
        (x,) = arrays
        half = x.shape[1] // 2
        whole = [y.copy() for y in self._model([x])]
        late = self._model([x[:, half:]])
        for y, anew, slot in zip(whole, late, self._slots, strict=True):
            (y[:, half:] if slot.sequence else y)[::2] = anew[::2]
        return whole

    def _run_anew(self, arrays: Arrays) -> Arrays:
        (x,) = arrays
        half = x.shape[1] // 2
        early, states = self._chunks(x[:, :half], self._begin(x))
        anew = self._streaming.reset(states, np.arange(len(x)) % 2 == 0)
        states = {name: state.numpy() for name, state in anew.items()}
        late, _ = self._chunks(x[:, half:], states)
        pairs = zip(early, late, strict=True)
        return [self._joined(i, list(pair)) for i, pair in enumerate(pairs)]

    def _begin(self, x: np.ndarray) -> Named:
        states = self._streaming.initial_states(len(x))
        return {name: state.numpy() for name, state in states.items()}

    def _chunks(
        self, x: np.ndarray, states: Named, mask: np.ndarray | None = None
    ) -> tuple[Arrays, Named]:
        """Runs a sequence in chunks; returns the joined outputs and the states."""
        if mask is None and self._masked:
            mask = np.ones(x.shape[:2], bool)
        parts = []
        for start, end in self._cuts(x.shape[1]):
            inputs = {"frames": x[:, start:end], **states}
            if mask is not None:
                inputs["mask"] = mask[:, start:end]
            results = self._step(inputs)
            parts.append([results.pop(name) for name in self._names])
            states = results
        columns = zip(*parts, strict=True)
        return [self._joined(i, list(each)) for i, each in enumerate(columns)], states

    def _cuts(self, length: int) -> Iterator[tuple[int, int]]:
        start = 0
        while start < length:
            n = self._frames or int(self._rng.choice([self._least, 1, 2, 17]))
            end = min(start + n, length)
            yield start, end
            start = end

    def _joined(self, index: int, parts: Arrays) -> np.ndarray:
        return np.concatenate(parts, 1) if self._slots[index].sequence else parts[-1]
