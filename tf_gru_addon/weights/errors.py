"""The error of this part of the package."""


class WeightsError(ValueError):
    """Weights that cannot be used, or that a format cannot hold.

    The message says which array or file, what was expected, what was received, and
    what to do.
    """
