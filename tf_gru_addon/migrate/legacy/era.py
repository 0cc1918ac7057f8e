"""Which Keras wrote a file."""

from __future__ import annotations

from typing import NamedTuple

from tf_gru_addon.migrate.legacy.errors import LegacyModelError, short


class Era(NamedTuple):
    """Which Keras wrote a file.

    Attributes:
        version: Keras' version, as the file has it: "1.2.2", "2.2.4", "2.2.4-tf".
        backend: What ran it, "tensorflow" or "theano"; "" where the file does not say.
        floatx: The dtype of layers whose config has none.
    """

    version: str
    backend: str
    floatx: str

    @property
    def is_keras_1(self) -> bool:
        """Whether it is Keras 1, with argument names and arrays of its own."""
        return self.release < (2, 0)

    @property
    def release(self) -> tuple[int, int]:
        """The first two numbers of the version; (1, 0) where the file has none."""
        major, _, rest = self.version.partition(".")
        minor = rest.partition(".")[0]
        return int(major), int(minor) if minor.isdigit() else 0

    @property
    def is_tf_keras(self) -> bool:
        """Whether it is the Keras inside TensorFlow, or tf_keras."""
        if self.is_keras_1:
            return False
        # Keras on its own ended with 2.3; from 2.4 on it was TensorFlow's.
        return self.version.endswith("-tf") or self.release >= (2, 4)


def era_of(version: object, backend: object, floatx: str) -> Era:
    """Returns the era of a file's version, checked.

    Raises:
        LegacyModelError: No such version of Keras is known here.
    """
    # Keras began to write its version with 1.2.
    version = "1" if version is None else version
    backend = "" if backend is None else str(backend)
    text = version if isinstance(version, str) else ""
    major, _, rest = text.partition(".")
    if major == "3":
        raise LegacyModelError(
            f"the file was written by Keras {text}, which is no legacy Keras. Load it "
            "with keras.saving.load_model."
        )
    minor = rest.partition(".")[0]
    if major not in ("1", "2") or (major == "2" and not minor.isdigit()):
        raise LegacyModelError(
            f"the file says that Keras {short(version)} wrote it; known are the "
            "versions 1 and 2. The file is damaged, or was not written by Keras."
        )
    return Era(text, backend, floatx)
