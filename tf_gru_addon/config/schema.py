"""What a config file says: one class a section, every key with its type."""

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
from tf_gru_addon.config.errors import ConfigError, short, shown
from tf_gru_addon.config.kinds import FLOAT32_MAX
from tf_gru_addon.config.parts import LAYERS, OPTIMIZERS

#: Keras follows a model from its end to its beginning, one call within another.
MAX_LAYERS = 200
Count = Annotated[int, Field(ge=1, lt=2**31)]


def _find(value: Any, info: pydantic.ValidationInfo) -> Any:
    """Returns the absolute path of a data file, for one path or several to try."""
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
    """Yields the places of softmax activations in a layer."""
    parts = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        parts = ((f"[{i}]", part) for i, part in enumerate(value))
    for key, part in parts:
        place = where + (key if key.startswith("[") else f".{key}")
        if key == "activation" and part == "softmax":
            yield place
        yield from _softmaxes(part, place)


def _one_of(catalog: Catalog) -> BeforeValidator:
    """Lets the catalog check a value; the place is put in front of its errors later."""
    return BeforeValidator(lambda value: catalog.check(value, ""))


Layer = Annotated[dict[str, dict[str, Any]], _one_of(LAYERS)]
Optimizer = Annotated[dict[str, dict[str, Any]], _one_of(OPTIMIZERS)]


class Section(pydantic.BaseModel):
    """Keys with types: no key beside them, and no silent conversion."""

    model_config = pydantic.ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False
    )


class Data(Section):
    """What to train and test on: a data set of the package, or two files.

    Attributes:
        dataset: a data set that comes with the package; or
        train: the `.npz` or `.csv` file to train on, and
        test: the one to test on. If both name one `.npz` file, its arrays' names begin
            with `train_` and `test_`. A relative path starts in the folder of the
            config file, or else in the current directory. Of a list of paths, the first
            that exists is taken.
        sequence_column: the `.csv` column that tells the sequences apart.
        label_column: the `.csv` column with the label.
        padding_value: what to pad with; no real frame may consist of it alone.
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
        features: the size of a frame.
        layers: the layers. The last gives one number a class: probabilities if its
            activation is softmax, else logits.
    """

    features: Count
    layers: Annotated[list[Layer], Field(min_length=1, max_length=MAX_LAYERS)]

    @pydantic.model_validator(mode="after")
    def _softmax_is_last(self) -> Model:
        for place in _softmaxes(self.layers[:-1], ".layers"):
            raise ConfigError(
                place,
                "only the last layer's activation may be softmax; got it before. Move "
                "it to the end, or leave it out: a last layer without it gives logits.",
            )
        return self


class Training(Section):
    """How to train.

    Attributes:
        epochs: how often to go through the training data.
        batch_size: sequences in a batch.
        seed: what every random number follows from.
        learning_rate_schedule: "constant"; or "cosine": from the optimizer's learning
            rate down to nearly 0 in half a cosine over the epochs.
        validation_fraction: the part of the training data, the same of each class, that
            is held out to validate on after each epoch.
    """

    epochs: Count
    batch_size: Count = 32
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    learning_rate_schedule: Literal["constant", "cosine"] = "constant"
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Export(Section):
    """What to write for others to load.

    Attributes:
        formats: "saved_model": a TensorFlow SavedModel, which needs neither Keras nor
            this package.
        tolerance: how far the exported model's numbers may be from the trained one's.
    """

    formats: list[Literal["saved_model"]] = ["saved_model"]
    tolerance: Annotated[float, Field(gt=0)] = 1e-5


class Config(Section):
    """A whole config. Read one with `load_config`."""

    data: Data
    model: Model
    optimizer: Optimizer = Field({"Adam": {}}, validate_default=True)
    training: Training
    export: Export = Export()


def require_config(config: Any) -> None:
    """Checks that an argument is a config.

    Raises:
        ConfigError: it is not.
    """
    if not isinstance(config, Config):
        raise ConfigError(
            "config",
            f"expected what `load_config` returns; got {shown(config)}.",
        )
