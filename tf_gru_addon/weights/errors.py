"""The error of this part of the package."""

from tf_gru_addon.errors import TfGruAddonError


class WeightsError(TfGruAddonError, ValueError):
    """Weights that cannot be used, or that a format cannot hold.

    The message says which array or file, what was expected, what was received, and
    what to do.
    """
