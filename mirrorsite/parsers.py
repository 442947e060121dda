"""How REST bodies are read: strictly; what comes in can be stored and answered."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser


class JsonParser(BaseParser):
    """Strict JSON: UTF-8, no NaN, no text that cannot be stored, no bottomless nesting."""

    media_type = "application/json"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        del media_type, parser_context
        return read_json(stream.read())


def read_json(raw: bytes) -> Any:
    """
    Raises:
        ParseError: ``raw`` is not JSON that the station takes; the text says where.
    """
    try:
        text = raw.decode("utf-8-sig")
        data = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        if "\\ud" in text or "\\uD" in text:  # a lone surrogate cannot be stored as UTF-8
            json.dumps(data, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ParseError("The body is nested too deeply") from error
    except ValueError as error:
        raise ParseError(f"The body is not valid JSON in UTF-8: {error}") from error
    return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f'{name} is not JSON; OPC UA values write it as "{name}"')


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large for a number")
    return value
