"""Opens untrusted files safely.

Every reader of the package opens its files through these modules, which check a file
before reading its content:

- `budget`: whether it is a regular file, and how much memory its content may take;
- `boundary`: turns everything that libraries raise for bad data into one error;
- `hdf5`: HDF5 files that refer to no other file, with arrays that fit the budget;
- `hdf5_trial`: a subprocess for HDF5 files that may crash the library;
- `zip_file`: zip files whose members fit the budget, and the arrays of an `.npz` file;
- `keras_file`: `.keras` files that are safe for `keras.saving.load_model`.
"""

from tf_gru_addon.reading.boundary import boundary as boundary
from tf_gru_addon.reading.budget import Budget as Budget
from tf_gru_addon.reading.budget import FileRefusedError as FileRefusedError
from tf_gru_addon.reading.budget import require_regular as require_regular
