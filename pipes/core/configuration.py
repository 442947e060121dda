"""The whole configuration as one value, and its canonical document.

Canonical means: servers and pipes by name, items by id, defaults and secrets left out, compact JSON
with sorted keys in UTF-8. Two stations with the same configuration have the same bytes, hence the
same digest. The text of a document is put together from the texts of its objects: that is how the
database keeps them, so that nobody encodes 30,000 items because one has changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pipes.core.fields import Body, Kind
from pipes.core.problems import FieldError
from pipes.core.wanted import Json

FORMAT: Final = "mirrorsite"
VERSION: Final = 1
#: Parts of the document that later versions fill.
EMPTY_PARTS: Final = ("points", "modules", "redundancy")

Key = str | int
_encode: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode


@dataclass(frozen=True, slots=True)
class Configuration:
    """All objects by name or id, each as a trimmed body; see `pipes.core.fields`."""

    servers: Mapping[str, Body] = field(default_factory=dict)
    pipes: Mapping[str, Body] = field(default_factory=dict)
    items: Mapping[int, Body] = field(default_factory=dict)
    revision: int = 0
    next_item_id: int = 1

    def of(self, kind: Kind) -> Mapping[Any, Body]:
        if kind is Kind.ITEM:
            return self.items
        return self.servers if kind is Kind.SERVER else self.pipes


def key_of(kind: Kind, body: Body) -> Key:
    """By what an object is addressed: a name, or an item's id."""
    key = body["id"] if kind is Kind.ITEM else body["name"]
    if not isinstance(key, str | int):
        raise TypeError(f"a {kind} has the key {key!r}")
    return key


def encode(body: Json | Body) -> str:
    """Compact JSON with sorted keys."""
    return _encode(body)


def document(configuration: Configuration) -> dict[str, Json]:
    """The configuration document (version 1)."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "servers": [dict(body) for _, body in sorted(configuration.servers.items(), key=_by_name)],
        "pipes": [dict(body) for _, body in sorted(configuration.pipes.items(), key=_by_name)],
        "items": [dict(configuration.items[key]) for key in sorted(configuration.items)],
        "points": [],
        "modules": [],
        "redundancy": {},
    }


def _by_name(entry: tuple[str, Body]) -> tuple[str, str]:
    return entry[0].casefold(), entry[0]


def document_text(
    servers: Iterable[tuple[str, str]],
    pipes: Iterable[tuple[str, str]],
    items: Iterable[tuple[int, str]],
) -> str:
    """The document's canonical text, made of ``(name or id, encoded body)`` of each object."""
    parts = (
        ",".join(text for _, text in sorted(items)),
        ",".join(_sorted_texts(pipes)),
        ",".join(_sorted_texts(servers)),
    )
    return (
        f'{{"format":"{FORMAT}","items":[{parts[0]}],"modules":[],"pipes":[{parts[1]}],'
        f'"points":[],"redundancy":{{}},"servers":[{parts[2]}],"version":{VERSION}}}'
    )


def _sorted_texts(entries: Iterable[tuple[str, str]]) -> list[str]:
    return [text for _, text in sorted(entries, key=lambda entry: (entry[0].casefold(), entry[0]))]


def configuration_text(configuration: Configuration) -> str:
    """`document_text` of a configuration in memory."""
    return document_text(
        ((name, _encode(body)) for name, body in configuration.servers.items()),
        ((name, _encode(body)) for name, body in configuration.pipes.items()),
        ((key, _encode(body)) for key, body in configuration.items.items()),
    )


def digest(whole: Mapping[str, Json]) -> str:
    """The digest of a document: SHA-256 of its compact JSON with sorted keys."""
    return digest_of_text(_encode(whole))


def digest_of_text(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def check_form(whole: Mapping[str, Json]) -> list[FieldError]:
    """What is wrong with a document as a whole, before one looks at its objects."""
    errors = []
    known = {"format", "version", "servers", "pipes", "items", *EMPTY_PARTS}
    if whole.get("format") != FORMAT:
        message = f'must be "{FORMAT}"; this is no configuration document'
        errors.append(FieldError("format", message, whole.get("format"), (FORMAT,)))
    if whole.get("version") != VERSION or isinstance(whole.get("version"), bool):
        message = f"must be {VERSION}, the only version that this station reads"
        errors.append(FieldError("version", message, whole.get("version"), (str(VERSION),)))
    errors += [
        FieldError(name, "is no known part of the document", None, tuple(sorted(known)))
        for name in whole
        if name not in known
    ]
    errors += [
        FieldError(name, "must be a list of objects", None)
        for name in ("servers", "pipes", "items")
        if not _is_list_of_objects(whole.get(name, []))
    ]
    errors += [
        FieldError(name, "is not supported by this version; leave it empty", None)
        for name in EMPTY_PARTS
        if whole.get(name)
    ]
    return errors


def _is_list_of_objects(part: Json) -> bool:
    return isinstance(part, list) and all(isinstance(entry, dict) for entry in part)
