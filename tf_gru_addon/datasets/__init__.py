"""Labelled sequences to train on: the data that comes along, and files of your own.

Nothing here needs TensorFlow or Keras.
"""

from .csv_file import load_csv as load_csv
from .japanese_vowels import load_japanese_vowels as load_japanese_vowels
from .npz_file import load_npz as load_npz
from .sequences import DataError as DataError
from .sequences import Sequences as Sequences
from .sequences import Splits as Splits
