"""Reading JSON that anyone may have written."""

from __future__ import annotations

import json
from typing import Any

from tf_gru_addon.migrate.legacy.errors import LegacyModelError, expect


def parse(text: Any, what: str) -> dict[str, Any]:
    """Returns the JSON object of a text.

    Args:
        text: The text, or its bytes.
        what: What it is, for messages.

    Raises:
        LegacyModelError: It is no JSON object.
    """
    expect(text, (str, bytes), what)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LegacyModelError(
            f"{what} is not JSON ({error}). The file is damaged, or was not written by "
            "Keras."
        ) from error
    return expect(value, dict, what)
