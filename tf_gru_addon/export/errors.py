"""What an export refuses."""

from tf_gru_addon.errors import ExportError as ExportError
