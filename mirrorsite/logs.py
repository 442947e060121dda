"""Logging of every process of a station: structlog over the standard library, one line per event."""

from __future__ import annotations
