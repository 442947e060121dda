"""Random configurations survive every way out of the station and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipes import imports, services
from pipes.core import choices
from pipes.core.configuration import Configuration
from pipes.core.findings import Severity
from pipes.core.lint import lint
from pipes.core.nested import VALUE_TYPES
from tests.integration.plants import OPEN

pytestmark = pytest.mark.django_db

#: What a line of text may hold; surrogates and control characters are refused.
LINE = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), max_size=30)
NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=12)
NOTES = st.one_of(
    LINE, st.sampled_from(["=1+1", "-1", "@x", "a\nb", "\tx", "'=q", "'", "_x000D_", ";,"])
)
NUMBERS = st.one_of(
    st.integers(-(10**9), 10**9), st.floats(-1e12, 1e12, allow_nan=False, allow_infinity=False)
)
NODE_IDS = st.one_of(
    st.integers(1, 2**32 - 1).map(lambda number: f"ns=2;i={number}"),
    LINE.map(str.strip).filter(bool).map(lambda text: f"nsu=urn:plant;s={text}"),
    st.uuids().map(lambda guid: f"ns=3;g={guid}"),
    st.sampled_from(["ns=2;s==1+1", "s=-x", "ns=4;b=M/RbKBsRVkePCePcx24oRA=="]),
)
TRANSFORMS = st.one_of(
    st.just({"kind": "none"}),
    st.fixed_dictionaries(
        {"kind": st.just("linear")},
        optional={"gain": NUMBERS, "offset": NUMBERS, "to_type": st.sampled_from(VALUE_TYPES)},
    ),
    st.fixed_dictionaries(
        {"kind": st.just("convert")},
        optional={"on_overflow": st.sampled_from(["reject", "saturate"])},
    ),
)
DEADBANDS = st.one_of(
    st.just({"type": "none"}),
    st.fixed_dictionaries({"type": st.just("absolute"), "value": st.floats(0, 1e6)}),
    st.fixed_dictionaries({"type": st.just("percent"), "value": st.floats(0, 100)}),
)
QUALITY_TABLES = st.dictionaries(
    st.sampled_from(["Bad", "Uncertain", "BadSensorFailure", "GoodLocalOverride", "0x8ABC0000"]),
    st.sampled_from([*map(str, choices.Quality), "Good", "UncertainSubNormal", "0x4ABC0000"]),
)
ITEMS = st.fixed_dictionaries(
    {"source_node": NODE_IDS, "target_node": NODE_IDS},
    optional={
        "direction": st.sampled_from([*choices.Direction]).map(str),
        "enabled": st.booleans(),
        "sampling_interval_ms": st.one_of(st.none(), st.integers(0, 10_000)),
        "trigger": st.sampled_from([*choices.Trigger]).map(str),
        "deadband": DEADBANDS,
        "transform": TRANSFORMS,
        "quality": st.sampled_from([None, "propagate", "hold", "stop"]),
        "substitute": st.one_of(st.none(), NUMBERS, st.booleans(), LINE),
        "minimum_interval_ms": st.integers(0, 10_000),
        "condition": st.one_of(
            st.none(),
            st.fixed_dictionaries(
                {"node": NODE_IDS, "equals": st.one_of(NUMBERS, st.booleans(), LINE)}
            ),
        ),
        "index_range": st.sampled_from(["", "1", "0:3"]),
        "note": NOTES,
    },
)
PIPES = st.fixed_dictionaries(
    {},
    optional={
        "publishing_interval_ms": st.integers(1, 10_000),
        "queue_age_seconds": st.floats(0, 1e6),
        "hold_seconds": st.one_of(st.none(), st.floats(0, 1e6)),
        "quality": st.sampled_from([*choices.Quality]).map(str),
        "quality_table": QUALITY_TABLES,
        "note": NOTES,
    },
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    names = st.lists(NAMES, min_size=1, max_size=3, unique_by=str.casefold)
    servers = [
        {"name": name, "endpoint": f"opc.tcp://127.0.0.1:{4840 + at}", "note": draw(NOTES), **OPEN}
        for at, name in enumerate(draw(names))
    ]
    one_server = st.sampled_from([server["name"] for server in servers])
    pipes = [
        {"name": name, "source": draw(one_server), "target": draw(one_server), **draw(PIPES)}
        for name in draw(names)
    ]
    one_pipe = st.sampled_from([pipe["name"] for pipe in pipes])
    items = draw(
        st.lists(
            st.tuples(one_pipe, ITEMS),
            max_size=6,
            unique_by=lambda pair: (
                pair[0], pair[1]["source_node"], pair[1]["target_node"],
                pair[1].get("index_range", ""),
            ),
        )
    )  # fmt: skip
    return {
        "format": "mirrorsite",
        "version": 1,
        "servers": servers,
        "pipes": pipes,
        "items": [{"pipe": pipe, **item} for pipe, item in items],
    }


def may_be_saved(document: dict[str, Any]) -> bool:
    """Whether the linter finds no error: such a document would be refused."""
    configuration = Configuration(
        {server["name"]: server for server in document["servers"]},
        {pipe["name"]: pipe for pipe in document["pipes"]},
        dict(enumerate(document["items"])),
    )
    return all(finding.severity is not Severity.ERROR for finding in lint(configuration))


EMPTY: Mapping[str, Any] = {
    "format": "mirrorsite",
    "version": 1,
    "servers": [],
    "pipes": [],
    "items": [],
}


def all_same(plan: services.Plan) -> bool:
    return not plan.changes and not plan.wrong


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(documents().filter(may_be_saved), documents().filter(may_be_saved))
def test_what_goes_out_comes_back(first: dict[str, Any], second: dict[str, Any]) -> None:
    services.apply_document(EMPTY, user="u", reason="clean")
    made = services.apply_document(first, user="u", reason="first")
    whole = services.document()
    digest = services.digest()
    assert services.digest(whole) == digest
    assert all_same(services.plan_document(whole))
    exports = {
        form: imports.export_items(form, separator=separator)
        for form, separator in (("csv", ","), ("json", ","), ("xlsx", ","))
    }
    semicolons = imports.export_items("csv", separator=";")
    for form, content in [*exports.items(), ("csv", semicolons)]:
        for mode in ("merge", "replace"):
            assert all_same(imports.plan_import(content, form, mode=mode))
    book = imports.export_configuration("xlsx")
    services.apply_document(second, user="u", reason="second")
    fill, _ = imports.configuration_filler(book, "xlsx", "replace")
    services.commit(fill, user="u", reason="book")
    assert services.document() == whole
    for form, content in exports.items():
        services.apply_document({**whole, "items": []}, user="u", reason="no items")
        imports.apply_import(content, form, user="u", reason="back")
        assert services.digest() == digest
    services.apply_document(second, user="u", reason="second")
    services.restore(made.revision or services.current_revision(), user="u", reason="")
    if made.revision:
        assert services.digest() == digest
