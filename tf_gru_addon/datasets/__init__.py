"""Labelled sequences: a data set of the package, and loaders for your own files.

This uses NumPy only, not TensorFlow or Keras.
"""

from tf_gru_addon.datasets.csv_file import load_csv as load_csv
from tf_gru_addon.datasets.japanese_vowels import (
    load_japanese_vowels as load_japanese_vowels,
)
from tf_gru_addon.datasets.npz_file import load_npz as load_npz
from tf_gru_addon.datasets.sequences import DataError as DataError
from tf_gru_addon.datasets.sequences import Sequences as Sequences
from tf_gru_addon.datasets.sequences import Splits as Splits
