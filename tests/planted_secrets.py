"""Secrets that tests plant: whatever runs in a test, or was started by it, prints none of them."""

from collections.abc import Iterable

PLANTED = {"planted-secret"}
"""In the URLs of channels, clients' secrets at providers, and passwords of databases."""


def shown_in(texts: Iterable[str]) -> set[str]:
    """Those of them that stand in any of these texts."""
    return {secret for text in texts for secret in PLANTED if secret in text}
