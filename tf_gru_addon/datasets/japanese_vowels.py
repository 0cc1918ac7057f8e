"""The Japanese Vowels speech data set, which is part of the package."""

from __future__ import annotations

from importlib import resources

from tf_gru_addon.datasets.npz_file import load_npz
from tf_gru_addon.datasets.sequences import Splits


def load_japanese_vowels(*, padding_value: float = 0.0) -> Splits:
    """Loads Japanese Vowels, a data set for speaker recognition.

    Nine men utter two vowels: 270 utterances for training and 370 for testing, each of
    7 to 29 frames with 12 LPC cepstrum coefficients (Kudo, Toyama and Shimbo, Pattern
    Recognition Letters 20, 1999; UCI Machine Learning Repository, CC BY 4.0).

    Args:
        padding_value: The value to pad with.

    Returns:
        The published split: `train` and `test`, with labels 0 to 8.

    Example:
        >>> train, test = load_japanese_vowels()
        >>> train.frames.shape, test.frames.shape
        ((270, 26, 12), (370, 29, 12))
    """
    file = resources.files(__package__) / "japanese_vowels.npz"
    with resources.as_file(file) as path:
        return Splits(
            *(
                load_npz(
                    path, split=split, labels="speakers", padding_value=padding_value
                )
                for split in Splits._fields
            )
        )
