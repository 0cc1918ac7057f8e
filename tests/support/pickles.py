"""A pickle that shows whether it was loaded."""

import os


class Evil:
    """Makes a folder `ran` when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("ran",)
