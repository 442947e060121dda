"""Mirrorsite, the composition root: it wires the apps together and is imported by none of them."""

from __future__ import annotations

__version__ = "0.1.0"
