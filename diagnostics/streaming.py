"""The chronicle as a file, sent while it is read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Final

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

from diagnostics.core.chronicle import Record
from diagnostics.core.export import BOM, csv_row
from diagnostics.records import as_answer

COLUMNS: Final = (
    "id",
    "at",
    "station",
    "kind",
    "code",
    "severity",
    "source",
    "message",
    "user",
    "details",
    "acknowledged_at",
    "acknowledged_by",
)
#: Records in one piece of the answer.
PIECE: Final = 200


def csv_pieces(records: Iterable[Record]) -> Iterator[str]:
    """The whole CSV, in pieces."""
    piece = [BOM + csv_row(COLUMNS)]
    for record in records:
        answer = as_answer(record)
        details = json.dumps(answer["details"], ensure_ascii=False) if answer["details"] else ""
        piece.append(csv_row((answer | {"details": details})[name] for name in COLUMNS))
        if len(piece) >= PIECE:
            yield "".join(piece)
            piece = []
    yield "".join(piece)


def json_pieces(records: Iterable[Record]) -> Iterator[str]:
    """The whole JSON array, in pieces."""
    piece: list[str] = []
    before = "["
    for record in records:
        piece.append(before + json.dumps(as_answer(record), ensure_ascii=False))
        before = ",\n"
        if len(piece) >= PIECE:
            yield "".join(piece)
            piece = []
    yield "".join(piece) + ("[]" if before == "[" else "]")


def stream(
    request: HttpRequest, pieces: Iterator[str], content_type: str, name: str
) -> StreamingHttpResponse:
    """An answer that is made while it is sent, under ASGI as under Django's test client.

    Under ASGI a plain iterator would be read to its end before the first byte is sent.
    """
    content: Iterator[str] | AsyncIterator[str] = pieces
    if isinstance(request, ASGIRequest):
        content = _without_blocking(pieces)
    response = StreamingHttpResponse(content, content_type=content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


async def _without_blocking(pieces: Iterator[str]) -> AsyncIterator[str]:
    following = sync_to_async(lambda: next(pieces, None))
    while (piece := await following()) is not None:
        yield piece
