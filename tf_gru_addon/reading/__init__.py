"""Opening files that anyone may have made.

Every reader of the package opens its files through these modules, which decide before
anything is read whether a file may be:

- `budget`: is it a regular file, and how much memory may its content take?
- `boundary`: whatever a library raises for bad data becomes one error with its name;
- `hdf5`: an HDF5 file that reads no other file, and whose arrays fit the budget;
- `hdf5_trial`: a process of its own for HDF5 files that may crash the library;
- `zip_file`: a zip file whose members fit the budget, and the arrays of an `.npz`;
- `keras_file`: a `.keras` file that may be given to `keras.saving.load_model`.
"""

from tf_gru_addon.reading.boundary import boundary as boundary
from tf_gru_addon.reading.budget import Budget as Budget
from tf_gru_addon.reading.budget import FileRefusedError as FileRefusedError
from tf_gru_addon.reading.budget import require_regular as require_regular
