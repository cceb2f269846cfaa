"""Identities and plates: what a photo's folder says of the vehicle in it."""

from __future__ import annotations

import unicodedata


def identity_of(path: str) -> str:
    """The identity of a photo by its path relative to the collection, with forward slashes: its first folder."""
    return path.split("/", 1)[0]


def plate_of(identity: str) -> str:
    """The plate text of a folder's name, in NFC: identities that share it never lie on two sides of the split."""
    return unicodedata.normalize("NFC", identity).split("~", 1)[0]  # macOS writes names decomposed
