"""One client property as plain text, whether or not it was wrapped as a secret."""

from __future__ import annotations

from collections.abc import Mapping

from coracle.api import Password


def setting(props: Mapping[str, str], key: str) -> str | None:
    """The value without surrounding blanks, as Java trims it, or ``None`` when it is not set.

    A ``Password`` is revealed: what this returns may be handed to a driver, never to a message.
    """
    value = props.get(key)
    if value is None:
        return None
    return (value.reveal if isinstance(value, Password) else str(value)).strip()
