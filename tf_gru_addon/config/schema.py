"""The schema of config files: one class per section, every key with its type."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from tf_gru_addon.config.extras import missing_extra

try:
    import pydantic
except ImportError as error:
    raise missing_extra(error) from error

from pydantic import AfterValidator, BeforeValidator, Field

from tf_gru_addon.config.catalog import Catalog
from tf_gru_addon.config.catalogs import LAYERS, OPTIMIZERS
from tf_gru_addon.config.errors import ConfigError, short, shown
from tf_gru_addon.config.kinds import FLOAT32_MAX

#: Keras traverses a model recursively, so deeper ones would overflow the stack.
MAX_LAYERS = 200
Count = Annotated[int, Field(ge=1, lt=2**31)]


def _find(value: Any, info: pydantic.ValidationInfo) -> Any:
    """Returns the absolute path of a data file, from one path or several candidates."""
    if value is None:
        return None
    given = value if isinstance(value, list) else [value]
    if not given or not all(isinstance(path, str) and path for path in given):
        raise ValueError(f"expected a path, or a list of paths; got {shown(value)}.")
    folder = (info.context or {}).get("folder", "")
    places = [
        os.path.abspath(os.path.join(start, path))
        for path in given
        for start in (folder, "")
    ]
    return next(filter(os.path.lexists, places), places[0])


DataPath = Annotated[str | None, BeforeValidator(_find)]


def _float32(value: float) -> float:
    if abs(value) > FLOAT32_MAX:
        raise ValueError(
            f"expected a number that float32 holds, to {FLOAT32_MAX:.2g} either way; "
            f"got {short(value)}."
        )
    return value


def _softmaxes(value: Any, where: str) -> Iterator[str]:
    """Yields the paths of the softmax activations in a layer."""
    inner: dict[str, Any] = {}
    if isinstance(value, dict):
        inner = {f".{key}": each for key, each in value.items()}
    elif isinstance(value, list):
        inner = {f"[{index}]": each for index, each in enumerate(value)}
    for step, each in inner.items():
        if step == ".activation" and each == "softmax":
            yield where + step
        yield from _softmaxes(each, where + step)


def _one_of(catalog: Catalog) -> BeforeValidator:
    """Checks a value against a catalog; `load._explain` adds the key to the error."""
    return BeforeValidator(lambda value: catalog.check(value, ""))


Layer = Annotated[dict[str, dict[str, Any]], _one_of(LAYERS)]
Optimizer = Annotated[dict[str, dict[str, Any]], _one_of(OPTIMIZERS)]


class Section(pydantic.BaseModel):
    """A section: unknown keys are errors, and no value is converted silently."""

    model_config = pydantic.ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False
    )


class Data(Section):
    """The data to train and test on: a data set of the package, or two files.

    Attributes:
        dataset: A data set of the package, instead of `train` and `test`.
        train: The `.npz` or `.csv` file to train on. A relative path is looked up in
            the folder of the config file, then in the current directory. If it is a
            list of paths, the first that exists is used.
        test: The file to test on, likewise. If it is the same `.npz` file as `train`,
            the names of its arrays begin with `train_` and `test_`.
        sequence_column: The `.csv` column that identifies the sequence of a frame.
        label_column: The `.csv` column with the label.
        padding_value: The value to pad with; no real frame may consist of it alone.
    """

    dataset: Literal["japanese_vowels"] | None = None
    train: DataPath = None
    test: DataPath = None
    sequence_column: str = "sequence"
    label_column: str = "label"
    padding_value: Annotated[float, AfterValidator(_float32)] = 0.0

    @pydantic.model_validator(mode="after")
    def _one_source(self) -> Data:
        keys = ("dataset", "train", "test")
        given = [key for key in keys if getattr(self, key) is not None]
        if given not in (["dataset"], ["train", "test"]):
            raise ValueError(
                "expected either `dataset`, or both `train` and `test`; got "
                f"{', '.join(given) or 'neither'}. `null` unsets a key."
            )
        return self


class Model(Section):
    """The layers, from the first to the last.

    Attributes:
        features: The number of features per frame.
        layers: The layers. The last has one output per class: probabilities if its
            activation is softmax, otherwise logits.
    """

    features: Count
    layers: Annotated[list[Layer], Field(min_length=1, max_length=MAX_LAYERS)]

    @pydantic.model_validator(mode="after")
    def _softmax_is_last(self) -> Model:
        for place in _softmaxes(self.layers[:-1], ".layers"):
            raise ConfigError(
                place,
                "only the last layer's activation may be softmax; got it in an earlier "
                "layer. Move it to the last, or remove it to get logits.",
            )
        return self


class Training(Section):
    """How to train.

    Attributes:
        epochs: The number of passes over the training data.
        batch_size: The number of sequences in a batch.
        seed: The seed of all random numbers.
        learning_rate_schedule: "constant"; or "cosine", which decays the optimizer's
            learning rate to nearly 0 along half a cosine over the epochs.
        validation_fraction: The fraction of the training data, stratified by class, to
            hold out for validation after each epoch.
    """

    epochs: Count
    batch_size: Count = 32
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    learning_rate_schedule: Literal["constant", "cosine"] = "constant"
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Export(Section):
    """What to export at the end of a run.

    Attributes:
        formats: "saved_model" writes a TensorFlow SavedModel, which loads without Keras
            and without this package.
        tolerance: The largest difference allowed between the outputs of the exported
            and the trained model.
    """

    formats: list[Literal["saved_model"]] = ["saved_model"]
    tolerance: Annotated[float, Field(gt=0)] = 1e-5


class Config(Section):
    """A whole config; `load_config` reads one from a file."""

    data: Data
    model: Model
    optimizer: Optimizer = Field({"Adam": {}}, validate_default=True)
    training: Training
    export: Export = Export()


def require_config(config: Any) -> None:
    """Checks that an argument is a config.

    Raises:
        ConfigError: It is not.
    """
    if not isinstance(config, Config):
        raise ConfigError(
            "config",
            f"expected what `load_config` returns; got {shown(config)}.",
        )
