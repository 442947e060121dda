"""What OpenAPI says about this app's paths, made from the same table of fields as the checks.

`components` are the named bodies; the other functions are the keyword arguments of
``extend_schema`` for one operation each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from pipes.core.choices import Direction, ItemState, PipeState, ServerState
from pipes.core.fields import FIELDS, Field, Kind
from pipes.core.findings import Severity
from pipes.core.ledger import Outcome
from pipes.core.nested import Child

Schema = dict[str, Any]
PROBLEM: Final = "application/problem+json"
_TYPES: Final[Mapping[str, Schema]] = {
    "text": {"type": "string"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "list": {"type": "array", "items": {"type": "string"}},
    "table": {"type": "object", "additionalProperties": True},
    "object": {"type": "object", "additionalProperties": True},
    "any": {},
}
_TEXT: Final[Schema] = {"type": "string"}
_NUMBER: Final[Schema] = {"type": "number"}
_WHOLE: Final[Schema] = {"type": "integer"}
_YES_NO: Final[Schema] = {"type": "boolean"}
_INSTANT: Final[Schema] = {"type": "string", "format": "date-time"}
_ANY_OBJECT: Final[Schema] = {"type": "object", "additionalProperties": True}


def components() -> dict[str, Schema]:
    """The bodies of the contract by name."""
    return {
        "Server": _configured(Kind.SERVER, _server_status()),
        "Pipe": _configured(Kind.PIPE, _pipe_status()),
        "Item": _configured(Kind.ITEM, _item_status()),
        "LedgerEntry": _ledger_entry(),
        "Plan": _plan(),
        "Finding": _finding(),
        "Problem": _problem(),
        "Configuration": _configuration(),
        "Revision": _object(_REVISION),
        "RevisionDetail": _object(
            {**_REVISION, "rows": _list(_ANY_OBJECT), "rows_left_out": _WHOLE}
        ),
        "Certificate": _object(_CERTIFICATE),
        "Certificates": _object(
            {
                "own": _object(_OWN_CERTIFICATE),
                "trusted": _list(ref("Certificate")),
                "rejected": _list(ref("Certificate")),
            }
        ),
        "ServerTest": _object(_SERVER_TEST),
        "NodeValue": _object(_NODE_VALUE),
        "Endpoint": _object(_ENDPOINT),
        "Browsed": _object(
            {
                "node": _TEXT,
                "results": _list(_ANY_OBJECT),
                "continuation": _nullable(_TEXT),
                "cache": _ANY_OBJECT,
            },
            ["node", "results", "continuation"],
        ),
        "BrowseState": _object(_BROWSE_STATE),
        "Generated": _generated(),
    }


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


# One operation each


def listed(name: str, filters: Iterable[str]) -> dict[str, Any]:
    """A list with paging, search, order and filters."""
    return {"parameters": list_parameters(filters), "responses": _responses(200, _page(name))}


def _page(name: str) -> Schema:
    return _object(
        {
            "count": _WHOLE,
            "next": _nullable({"type": "string", "format": "uri"}),
            "previous": _nullable({"type": "string", "format": "uri"}),
            "results": _list(ref(name)),
        }
    )


def ledger() -> dict[str, Any]:
    """The list of writes: as other lists, with what the reader should know of it."""
    parameters = [
        _query("limit", int, "How many; default 100, at most 1000"),
        _query("offset", int, "How many to leave out first"),
        _query("search", str, "Part of a node or note of the item, or of its pipe's name"),
        _choice("ordering", ["-at"], "Newest first, and nothing else"),
        _query("item", int, "Only writes of this item"),
        _query("pipe", str, "Only writes of this pipe"),
        _choice("outcome", [str(each) for each in Outcome], "Only those with this outcome"),
        _query("verified", bool, "Only those that were read back: as written, or otherwise"),
    ]
    page = _page("LedgerEntry")
    page["properties"]["notes"] = {
        **_list(_TEXT),
        "description": "Since when the list is complete; pipe workers that do not answer",
    }
    return {"parameters": parameters, "responses": _responses(200, page)}


def list_parameters(filters: Iterable[str]) -> list[OpenApiParameter]:
    """The query of a list (`pipes.listing`)."""
    return [
        _query("limit", int, "How many; default 100, at most 1000"),
        _query("offset", int, "How many to leave out first"),
        _query("search", str, "Part of a text"),
        _query("ordering", str, "Fields, comma separated, with - before to descend"),
        *(_query(each, str, f"Only those with this {each}") for each in filters),
    ]


def answered(name: str) -> dict[str, Any]:
    return {"responses": _responses(200, ref(name))}


def written(name: str, status: int) -> dict[str, Any]:
    return {
        "parameters": [_REASON],
        "request": _json(ref(name)),
        "responses": _responses(status, ref(name)),
    }


def changed(name: str, *flags: str) -> dict[str, Any]:
    """A PATCH: any of the fields; null is the default."""
    parameters = [_REASON, _IF_MATCH, *(_flag(each) for each in flags)]
    body = {"type": "object", "additionalProperties": True, "description": f"Fields of a {name}"}
    return {
        "parameters": parameters,
        "request": _json(body),
        "responses": _responses(200, ref(name)),
    }


def deleted(*flags: str) -> dict[str, Any]:
    parameters = [_REASON, _IF_MATCH, *(_flag(each) for each in flags)]
    return {"parameters": parameters, "responses": {204: None, **_refusals()}}


def planned() -> dict[str, Any]:
    """A write without a body that answers a plan."""
    return {"parameters": _BULK, "request": None, "responses": _responses(200, ref("Plan"))}


def linted() -> dict[str, Any]:
    """The linter's findings, errors first."""
    asked = _choice("facts", ["true", "false"], "Read the nodes from the servers; default true")
    pipe = _query("pipe", str, "Only this pipe, as if it were switched on now")
    return {"parameters": [asked, pipe], "responses": _responses(200, _list(ref("Finding")))}


def put_document() -> dict[str, Any]:
    return {
        "parameters": [*_BULK, _choice("mode", ["replace", "merge"], "Default replace")],
        "request": _json(ref("Configuration")),
        "responses": _responses(200, ref("Plan")),
    }


def created_items() -> dict[str, Any]:
    """One item (201 with it), or a list of them (200 with the plan and ``ids``)."""
    body = {"oneOf": [ref("Item"), _list(ref("Item"))]}
    return {
        "parameters": _BULK,
        "request": _json(body),
        "responses": {201: ref("Item"), **_responses(200, ref("Plan"))},
    }


def changed_items() -> dict[str, Any]:
    """A list of patches, each with the ``id`` of its item."""
    return {
        "parameters": _BULK,
        "request": _json(_list(_ANY_OBJECT)),
        "responses": _responses(200, ref("Plan")),
    }


def deleted_items() -> dict[str, Any]:
    return {
        "parameters": _BULK,
        "request": _json(_object({"ids": _list(_WHOLE)}, ["ids"])),
        "responses": _responses(200, ref("Plan")),
    }


def imported() -> dict[str, Any]:
    """A table or list of items, as the body itself or as the part ``file`` of a form."""
    upload = _object({"file": {"type": "string", "format": "binary"}}, ["file"])
    return {
        "parameters": [
            *_BULK,
            _choice("format", ["csv", "xlsx", "json"], "Default: by the file's name or type"),
            _choice("mode", ["merge", "replace"], "Default merge"),
        ],
        "request": {
            "multipart/form-data": upload,
            "text/csv": _TEXT,
            "application/json": _list(_ANY_OBJECT),
        },
        "responses": _responses(200, ref("Plan")),
    }


def exported(*parameters: str) -> dict[str, Any]:
    """A file in one of three formats."""
    queries = [_choice("format", ["csv", "xlsx", "json"], "Default csv")]
    queries += [_query(each, str, each) for each in parameters]
    return {"parameters": queries, **file("text/csv")}


def file(media_type: str) -> dict[str, Any]:
    content = {"type": "string", "format": "binary"}
    return {"responses": {(200, media_type): content, **_refusals()}}


def commanded(name: str) -> dict[str, Any]:
    return {"request": None, "responses": _responses(200, ref(name))}


def browsed() -> dict[str, Any]:
    parameters = [
        _query("node", str, "A NodeId; default the Objects folder"),
        _query("depth", int, "Default 1"),
        _query("search", str, "Part of a name"),
        _query("limit", int, "Default 100, at most 1000"),
        _query("continuation", str, "As the answer before gave it"),
        _query("cached", bool, "From the browse cache instead of the server; without values"),
    ]
    return {"parameters": parameters, "responses": _responses(200, ref("Browsed"))}


def browse_started() -> dict[str, Any]:
    """Begin to browse in the background."""
    body = {"node": {**_TEXT, "default": "i=85"}, "max_nodes": {**_WHOLE, "default": 200_000}}
    return {"request": _json(_object(body)), "responses": _responses(202, ref("BrowseState"))}


def browse_cancelled() -> dict[str, Any]:
    return {"request": None, "responses": _responses(200, ref("BrowseState"))}


def generated() -> dict[str, Any]:
    """Items by a rule."""
    match = {"type": "string", "enum": ["browse_path", "pattern"], "default": "browse_path"}
    texts = dict.fromkeys(("source_root", "target_root", "pattern", "replace"), _TEXT)
    body = _object({"pipe": _TEXT, **texts, "match": match, "item": _ANY_OBJECT}, ["pipe"])
    return {
        "parameters": _BULK,
        "request": _json(body),
        "responses": _responses(200, ref("Generated")),
    }


def read_nodes() -> dict[str, Any]:
    return {
        "request": _json(_object({"nodes": _list(_TEXT)}, ["nodes"])),
        "responses": _responses(200, _list(ref("NodeValue"))),
    }


def previewed() -> dict[str, Any]:
    direction = {"type": "string", "enum": ["forward", "reverse", "both"]}
    given = {
        "transform": _ANY_OBJECT,
        "direction": direction,
        "values": _list({}),
        "server": _TEXT,
        "pipe": _TEXT,
        "source_node": _TEXT,
    }
    made = {"value": {}, "written": {}, "data_type": _nullable(_TEXT), "error": _nullable(_TEXT)}
    return {
        "request": _json(_object(given, ["transform"])),
        "responses": _responses(200, _list(_object(made))),
    }


def decided() -> dict[str, Any]:
    action = {"type": "string", "enum": ["propose", "trust", "reject"]}
    body = _object({"action": action, "thumbprint": _TEXT}, ["action", "thumbprint"])
    return {"request": _json(body), "responses": _responses(200, ref("Certificate"))}


def discovered() -> dict[str, Any]:
    return {
        "request": _json(_object({"url": _TEXT}, ["url"])),
        "responses": _responses(200, _list(ref("Endpoint"))),
    }


def _responses(status: int, schema: Schema) -> dict[Any, Any]:
    return {status: OpenApiResponse(schema), **_refusals()}


def _refusals() -> dict[Any, Any]:
    return {(400, PROBLEM): ref("Problem"), (404, PROBLEM): ref("Problem")}


def _json(schema: Schema) -> dict[str, Schema]:
    return {"application/json": schema}


def _query(name: str, kind: type, description: str) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.QUERY, description=description)


def _flag(name: str) -> OpenApiParameter:
    return OpenApiParameter(name, bool, OpenApiParameter.QUERY)


def _choice(name: str, allowed: list[str], description: str) -> OpenApiParameter:
    return OpenApiParameter(
        name, str, OpenApiParameter.QUERY, enum=allowed, description=description
    )


_REASON: Final = _query("reason", str, "Why; it is kept with the revision")
_IF_MATCH: Final = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description='The revision that was seen, as "12"'
)
_BULK: Final = [
    _REASON,
    _IF_MATCH,
    _flag("dry_run"),
    _query("rows", int, "How many rows of the plan are answered; default 1000"),
]


# Bodies


def _configured(kind: Kind, status: Schema) -> Schema:
    properties: dict[str, Schema] = {}
    if kind is Kind.ITEM:
        properties["id"] = {**_WHOLE, "readOnly": True}
    for name, field in FIELDS[kind].items():
        properties[name] = _field(field)
    if kind is Kind.SERVER:
        properties["password"] = {**_nullable(_TEXT), "description": "Taken, never answered"}
        properties["has_password"] = {**_YES_NO, "readOnly": True}
    properties["status"] = {**status, "readOnly": True}
    return _object(properties, [name for name, each in FIELDS[kind].items() if each.required])


def _field(field: Field) -> Schema:
    if field.children:
        children = {name: _child(child) for name, child in field.children.items()}
        schema: Schema = {"type": "object", "properties": children}
    else:
        schema = _simple(field.form, field.allowed)
    if field.nullable and "type" in schema:
        schema = _nullable(schema)
    if not field.required:
        schema = {**schema, "default": field.default}
    return schema


def _child(child: Child) -> Schema:
    return _simple(child.form, child.allowed)


def _simple(form: str, allowed: Iterable[str]) -> Schema:
    schema = dict(_TYPES[form])
    if form == "text" and list(allowed):
        schema["enum"] = list(allowed)
    return schema


def _object(properties: Mapping[str, Schema], required: Iterable[str] = ()) -> Schema:
    schema: Schema = {"type": "object", "properties": dict(properties)}
    if list(required):
        schema["required"] = list(required)
    return schema


def _list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _nullable(schema: Schema) -> Schema:
    """OpenAPI 3.0 spells "or null" beside the type; a closed list names null as well."""
    enum = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, **enum, "nullable": True}


def _state(states: Iterable[str]) -> Schema:
    return {"type": "string", "enum": [str(state) for state in states]}


def _server_status() -> Schema:
    limits = {"read": _WHOLE, "write": _WHOLE, "monitored_items": _WHOLE}
    return _object(
        {
            "state": _state(ServerState),
            "reason": _TEXT,
            "since": _nullable(_INSTANT),
            "session_ms": _nullable(_NUMBER),
            "service_level": _nullable(_WHOLE),
            "limits": _nullable(_object(limits)),
            "writes_status": _nullable(_YES_NO),
            "writes_timestamps": _nullable(_YES_NO),
            "single_point_of_failure": _YES_NO,
            "last_error": _nullable(_TEXT),
        }
    )


def _pipe_status() -> Schema:
    latency = {"p50": _nullable(_NUMBER), "p99": _nullable(_NUMBER)}
    counted = ("items", "good", "writes", "would_write", "errors", "conflated", "queued", "lost")
    whole = dict.fromkeys((*counted, "lost_at_source"), _WHOLE)
    return _object(
        {
            "state": _state(PipeState),
            "reason": _TEXT,
            "rate": _NUMBER,
            "latency_ms": _object(latency),
            **whole,
        }
    )


def _item_status() -> Schema:
    source = {"value": {}, "status": _TEXT, "source_timestamp": _nullable(_TEXT)}
    written_ = {"value": {}, "status": _TEXT, "at": _INSTANT, "dry_run": _YES_NO}
    return _object(
        {
            "state": _state(ItemState),
            "reason": _TEXT,
            "source": _nullable(_object(source)),
            "written": _nullable(_object(written_)),
            "verified": _nullable(_YES_NO),
            "last_error": _nullable(_ANY_OBJECT),
            "writes": _WHOLE,
            "would_write": _WHOLE,
            "queued": _WHOLE,
            "errors": _WHOLE,
            "age_ms": _nullable(_NUMBER),
        }
    )


def _ledger_entry() -> Schema:
    value = _object({"value": {}, "status": _TEXT, "source_timestamp": _nullable(_TEXT)})
    return _object(
        {
            "at": {**_INSTANT, "description": "When it was sent"},
            "item": _WHOLE,
            "pipe": _TEXT,
            "direction": _state((Direction.FORWARD, Direction.REVERSE)),
            "requested": {**value, "description": "What the source said"},
            "sent": {**value, "description": "What went to the target"},
            "outcome": _state(Outcome),
            "status": {**_nullable(_TEXT), "description": "The target's answer"},
            "verified": {**_nullable(_YES_NO), "description": "Read back; null: not done"},
            "reason": _TEXT,
        }
    )


def _plan() -> Schema:
    names = ("add", "change", "delete", "same", "error")
    return _object(
        {
            "dry_run": _YES_NO,
            "base_revision": _WHOLE,
            "revision": _nullable(_WHOLE),
            "counts": _object(dict.fromkeys(names, _WHOLE)),
            "rows": _list(_ANY_OBJECT),
            "rows_left_out": _WHOLE,
            "findings": _list(_finding()),
            "findings_left_out": _WHOLE,
            "ids": _list(_WHOLE),
        },
        ["dry_run", "base_revision", "revision", "counts", "rows", "rows_left_out", "findings"],
    )


def _finding() -> Schema:
    severities = [str(severity) for severity in Severity]
    return _object(
        {
            "severity": {"type": "string", "enum": severities},
            "rule": _TEXT,
            "message": _TEXT,
            "items": _list(_WHOLE),
        },
        ["severity", "rule", "message", "items"],
    )


def _generated() -> Schema:
    """A plan and what of both sides found no partner."""
    names = ("side", "node", "path", "reason", "message")
    counts = _object(dict.fromkeys(("matched", "source", "target"), _WHOLE))
    plan = _plan()
    more = {
        "unmatched": _list(_object(dict.fromkeys(names, _TEXT))),
        "unmatched_left_out": _WHOLE,
        "unmatched_counts": counts,
        "browsed": _object({"source": _ANY_OBJECT, "target": _ANY_OBJECT}),
    }
    return {**plan, "properties": {**plan["properties"], **more}}


def _problem() -> Schema:
    error = {
        "field": _TEXT,
        "row": _WHOLE,
        "column": _TEXT,
        "value": {},
        "message": _TEXT,
        "allowed": _list(_TEXT),
    }
    return _object(
        {
            "type": _TEXT,
            "title": _TEXT,
            "status": _WHOLE,
            "code": _TEXT,
            "detail": _TEXT,
            "instance": _TEXT,
            "errors": _list(_object(error)),
        },
        ["type", "title", "status", "code", "detail", "instance"],
    )


def _configuration() -> Schema:
    parts = dict.fromkeys(("servers", "pipes", "items", "points", "modules"), _list(_ANY_OBJECT))
    return _object(
        {
            "format": {"type": "string", "enum": ["mirrorsite"]},
            "version": {"type": "integer", "enum": [1]},
            **parts,
            "redundancy": _ANY_OBJECT,
        },
        ["format", "version"],
    )


_REVISION: Final[Mapping[str, Schema]] = {
    "revision": _WHOLE,
    "at": _INSTANT,
    "user": _TEXT,
    "reason": _TEXT,
    "counts": _ANY_OBJECT,
    "conflict": _YES_NO,
}
_OWN_CERTIFICATE: Final[Mapping[str, Schema]] = {
    "thumbprint": _TEXT,
    "subject": _TEXT,
    "application_uri": _TEXT,
    "not_before": _INSTANT,
    "not_after": _INSTANT,
    "days_left": _WHOLE,
    "pem": _TEXT,
}
_CERTIFICATE: Final[Mapping[str, Schema]] = {
    "thumbprint": _TEXT,
    "subject": _TEXT,
    "application_uri": _TEXT,
    "not_before": _INSTANT,
    "not_after": _INSTANT,
    "days_left": _WHOLE,
    "trusted": _YES_NO,
    "server": _TEXT,
    "proposed_by": _TEXT,
    "reason": _TEXT,
}
_BROWSE_STATE: Final[Mapping[str, Schema]] = {
    "state": {
        "type": "string",
        "enum": ["none", "waiting", "running", "done", "failed", "cancelled"],
    },
    "reason": _TEXT,
    "node": _nullable(_TEXT),
    "max_nodes": _nullable(_WHOLE),
    "nodes": _WHOLE,
    "browsed": _WHOLE,
    "refused": _WHOLE,
    "refusals": _list(_TEXT),
    "resumed": _WHOLE,
    "sessions": _WHOLE,
    "started_at": _nullable(_INSTANT),
    "seconds": _nullable(_NUMBER),
    "cache": _nullable(
        _object(
            {
                "server": _TEXT,
                "node": _TEXT,
                "nodes": _WHOLE,
                "variables": _WHOLE,
                "refused": _WHOLE,
                "browsed_at": _INSTANT,
                "age_seconds": _WHOLE,
                "seconds": _NUMBER,
                "server_restarted": _nullable(_YES_NO),
            }
        )
    ),
}
_SERVER_TEST: Final[Mapping[str, Schema]] = {
    "ok": _YES_NO,
    "endpoint": _TEXT,
    "latency_ms": _nullable(_NUMBER),
    "security": {},
    "server": _nullable(_object({"product": _TEXT, "version": _TEXT})),
    "capabilities": _nullable(_ANY_OBJECT),
    "error": _nullable(_TEXT),
}
_NODE_VALUE: Final[Mapping[str, Schema]] = {
    "node": _TEXT,
    "value": {},
    "status": _TEXT,
    "source_timestamp": _nullable(_TEXT),
    "server_timestamp": _nullable(_TEXT),
}
_ENDPOINT: Final[Mapping[str, Schema]] = {
    "endpoint": _TEXT,
    "security_policy": _TEXT,
    "security_mode": _TEXT,
    "auth": _list(_TEXT),
    "thumbprint": _nullable(_TEXT),
}
