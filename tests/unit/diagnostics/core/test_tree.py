from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.core.states import rank, worst
from diagnostics.core.station import StationFacts, station_body
from diagnostics.core.tree import Document, Node, Parameter, as_answer, build, find, make_node
from redundancy.core.health import HealthState
from tests.unit.diagnostics.core.test_station import FACTS, SUPERVISOR


def server(name: str = "PLC1", state: str = "connected", reason: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "endpoint": "opc.tcp://10.0.0.5:4840",
        "security_policy": "None",
        "security_mode": "None",
        "status": {
            "state": state,
            "reason": reason,
            "since": None,
            "session_ms": 30_000,
            "service_level": 255,
            "limits": {"read": 1000, "write": 500, "monitored_items": 100},
        },
    }


def with_members(*members: dict[str, Any], state: str = "connected") -> dict[str, Any]:
    body = server(state=state)
    plain = {"service_level": None, "in_use": False, "reason": ""}
    body["status"]["members"] = [plain | each for each in members]
    return body


def pipe(name: str = "P1", state: str = "running", reason: str = "", **more: Any) -> dict[str, Any]:
    status = {"state": state, "reason": reason, "items": 10, "good": 10, "rate": 1.25, "writes": 3}
    own = {key: more.pop(key) for key in ("items", "good") if key in more}
    return {"name": name, "source": "PLC1", "target": "DCS", "status": status | own} | more


def item(number: int = 17, state: str = "good", reason: str = "") -> dict[str, Any]:
    return {
        "id": number,
        "source_node": "nsu=a;s=T1",
        "target_node": "nsu=b;s=T1",
        "direction": "forward",
        "status": {"state": state, "reason": reason, "source": {"value": 1.5}, "written": None},
    }


def document(**changes: Any) -> Document:
    base = Document(station_body(FACTS), [server(), server("DCS")], [pipe()])
    return replace(base, **changes)


def at(tree: Node, path: str) -> Node:
    node = find(tree, path)
    assert node is not None, path
    return node


def value(node: Node, name: str) -> Any:
    (found,) = [each.value for each in node.parameters if each.name == name]
    return found


MIRROR = "REDOPC/REDOPC/mirror"


class TestShape:
    def test_the_root_lists_the_pair_and_the_paths_are_those_of_the_contract(self) -> None:
        tree = build(document(items={"P1": [item()]}))

        assert (tree.path, [child.path for child in tree.children]) == ("", ["REDOPC"])
        for path, kind in (
            ("REDOPC", "pair"),
            ("REDOPC/REDOPC", "station"),
            (MIRROR, "mirror"),
            (f"{MIRROR}/pipes", "pipes"),
            (f"{MIRROR}/pipes/P1", "pipe"),
            (f"{MIRROR}/pipes/P1/items", "items"),
            (f"{MIRROR}/pipes/P1/items/17", "item"),
            (f"{MIRROR}/servers/PLC1", "server"),
            ("REDOPC/REDOPC/host", "host"),
            ("REDOPC/REDOPC/host/pipes-1", "component"),
        ):
            assert at(tree, path).kind == kind

    @pytest.mark.parametrize("path", ["", "/"])
    def test_the_root_has_no_path(self, path: str) -> None:
        tree = build(document())

        assert find(tree, path) is tree

    @pytest.mark.parametrize(
        "path", ["REDO", "REDOPC/X", f"{MIRROR}/pipes/P1x", f"{MIRROR}/pipes/P1/items/1"]
    )
    def test_a_path_that_is_not_there_is_none(self, path: str) -> None:
        assert find(build(document()), path) is None

    def test_a_name_that_begins_like_another_is_not_taken_for_it(self) -> None:
        tree = build(document(pipes=[pipe("P1"), pipe("P1.a"), pipe("P1 b")]))

        assert at(tree, f"{MIRROR}/pipes/P1.a").label == "P1.a"

    def test_an_answer_has_as_many_levels_as_asked_for(self) -> None:
        tree = build(document())

        none = as_answer(at(tree, MIRROR), 0)
        one = as_answer(at(tree, MIRROR), 1)
        assert (none["children"], none["children_count"]) == ([], 2)
        assert [child["label"] for child in one["children"]] == ["Pipes", "Servers"]
        assert one["children"][0]["children"] == []

    def test_items_are_counted_whether_or_not_they_are_loaded(self) -> None:
        answer = as_answer(at(build(document()), f"{MIRROR}/pipes/P1/items"), 5)

        assert (answer["children_count"], answer["children"]) == (10, [])


class TestStates:
    def test_a_station_in_order_is_good_everywhere(self) -> None:
        def all_states(node: Node) -> set[str]:
            return {node.state}.union(*(all_states(child) for child in node.children))

        assert all_states(build(document())) == {"good"}

    def test_a_lost_server_shows_up_to_the_root_with_its_reason(self) -> None:
        tree = build(document(servers=[server(), server("DCS", "disconnected", "refused")]))

        assert at(tree, f"{MIRROR}/servers/DCS").own_state is HealthState.FAILED
        assert at(tree, f"{MIRROR}/servers/PLC1").state is HealthState.GOOD
        assert tree.state is HealthState.FAILED
        assert tree.own_state is HealthState.GOOD
        assert tree.reason == "REDOPC: REDOPC: Mirror: Servers: DCS: refused"

    @pytest.mark.parametrize(
        ("state", "shown"),
        [
            ("running", "good"),
            ("standby", "good"),
            ("waiting", "failed"),
            ("faulted", "failed"),
            ("disabled", "check"),
            ("unheard of", "failed"),
        ],
    )
    def test_each_state_of_a_pipe_has_its_mark(self, state: str, shown: str) -> None:
        node = at(build(document(pipes=[pipe(state=state)])), f"{MIRROR}/pipes/P1")

        assert node.own_state == shown
        assert bool(node.reason) is (shown != "good")

    @pytest.mark.parametrize(
        ("state", "shown"),
        [
            ("connected", "good"),
            ("connecting", "check"),
            ("disabled", "check"),
            ("rejected", "failed"),
            ("disconnected", "failed"),
            ("quarantined", "failed"),
        ],
    )
    def test_each_state_of_a_server_has_its_mark(self, state: str, shown: str) -> None:
        node = at(build(document(servers=[server(state=state)])), f"{MIRROR}/servers/PLC1")

        assert node.state == shown

    @pytest.mark.parametrize("pipes", [[], [pipe(state="disabled")]], ids=["no pipe", "disabled"])
    def test_a_server_that_no_pipe_uses_has_not_failed(self, pipes: list[dict[str, Any]]) -> None:
        idle = server(state="disconnected", reason="no pipe that runs uses this server")
        node = at(build(document(servers=[idle], pipes=pipes)), f"{MIRROR}/servers/PLC1")

        assert node.state is HealthState.CHECK

    @pytest.mark.parametrize(
        ("state", "shown"),
        [
            ("good", "good"),
            ("disabled", "check"),
            ("waiting", "check"),
            ("uncertain", "out_of_spec"),
            ("stale", "out_of_spec"),
            ("bad", "failed"),
            ("error", "failed"),
        ],
    )
    def test_each_state_of_an_item_has_its_mark(self, state: str, shown: str) -> None:
        tree = build(document(items={"P1": [item(state=state)]}))

        assert at(tree, f"{MIRROR}/pipes/P1/items/17").state == shown

    def test_a_dry_run_is_a_function_check(self) -> None:
        node = at(build(document(pipes=[pipe(dry_run=True)])), f"{MIRROR}/pipes/P1")

        assert (node.state, node.reason) == ("check", "dry run: nothing is written")

    def test_items_that_are_not_good_mark_a_running_pipe(self) -> None:
        node = at(build(document(pipes=[pipe(items=10, good=8)])), f"{MIRROR}/pipes/P1")

        assert (node.own_state, node.state) == ("good", "out_of_spec")
        assert node.reason == "Items: 2 of 10 items are not good"

    def test_a_pipe_that_waits_is_the_cause_not_its_items(self) -> None:
        tree = build(document(pipes=[pipe(state="waiting", reason="DCS is missing", good=0)]))

        assert at(tree, f"{MIRROR}/pipes/P1/items").state is HealthState.GOOD
        assert at(tree, f"{MIRROR}/pipes/P1").reason == "DCS is missing"

    @pytest.mark.parametrize(
        ("state", "shown"),
        [("active", "good"), ("starting", "check"), ("failed", "failed"), ("maintenance", "check")],
    )
    def test_each_state_of_a_station_has_its_mark(self, state: str, shown: str) -> None:
        facts = replace(FACTS, supervisor=SUPERVISOR | {"state": state})
        node = at(build(document(station=station_body(facts))), "REDOPC/REDOPC")

        assert node.own_state == shown
        assert bool(node.reason) is (shown != "good")

    def test_without_a_supervisor_the_station_says_so(self) -> None:
        body = station_body(StationFacts("REDOPC", "", "1", 1))
        node = at(build(document(station=body)), "REDOPC/REDOPC")

        assert (node.own_state, value(node, "State")) == ("failed", "failed")
        assert "the supervisor does not answer" in node.reason

    def test_a_configuration_that_cannot_be_read_is_said_at_the_mirror(self) -> None:
        node = at(build(document(fault="the database is locked")), MIRROR)

        assert (node.own_state, node.reason) == ("check", "the database is locked")

    @given(own=st.sampled_from(HealthState), below=st.lists(st.sampled_from(HealthState)))
    def test_a_state_is_never_better_than_what_lies_below(
        self, own: HealthState, below: list[HealthState]
    ) -> None:
        children = [make_node(f"a/{n}", str(n), "x", state=state) for n, state in enumerate(below)]

        node = make_node("a", "a", "x", state=own, reason="own", children=children)
        assert node.state is worst([own, *below])
        if rank(node.state) == rank(own):
            assert node.reason == "own"
        else:
            assert node.reason == str(below.index(node.state))


class TestParameters:
    def test_the_mirror_adds_its_pipes_up(self) -> None:
        pipes = [pipe("P1", good=9), pipe("P2", "waiting"), pipe("P3", items=None, good=None)]
        node = at(build(document(pipes=pipes)), MIRROR)

        assert value(node, "Pipes") == 3
        assert value(node, "Pipes running") == 2
        assert value(node, "Items") == 20
        assert value(node, "Items good") == 19
        assert value(node, "Values") == 3.8
        assert value(node, "Servers connected") == 2

    def test_a_server_shows_its_limits_and_its_security(self) -> None:
        node = at(build(document()), f"{MIRROR}/servers/PLC1")

        assert value(node, "Nodes per write") == 500
        assert value(node, "Security") == "None, None"

    def test_a_set_shows_its_members_and_which_is_used(self) -> None:
        body = with_members(
            {"endpoint": "opc.tcp://a:1", "state": "no_data", "service_level": 1},
            {"endpoint": "opc.tcp://b:1", "state": "healthy", "in_use": True},
        )
        node = at(build(document(servers=[body])), f"{MIRROR}/servers/PLC1")
        assert value(node, "Member in use") == "opc.tcp://b:1"
        assert value(node, "Members") == "opc.tcp://a:1 no data, 1; opc.tcp://b:1 healthy"
        assert node.state is HealthState.GOOD

    def test_a_set_without_a_session_uses_no_member(self) -> None:
        body = with_members({"endpoint": "opc.tcp://a:1", "state": "unknown"}, state="connecting")
        node = at(build(document(servers=[body])), f"{MIRROR}/servers/PLC1")
        assert value(node, "Member in use") is None

    def test_a_set_that_cannot_fail_over_needs_maintenance(self) -> None:
        body = with_members(
            {"endpoint": "opc.tcp://a:1", "state": "healthy", "in_use": True},
            {"endpoint": "opc.tcp://b:1", "state": "dead", "reason": "no route"},
            {"endpoint": "opc.tcp://c:1", "state": "dead"},
        )
        node = at(build(document(servers=[body])), f"{MIRROR}/servers/PLC1")
        assert node.state is HealthState.MAINTENANCE
        assert node.reason == (
            "2 of 3 members cannot be used: opc.tcp://b:1 (no route), opc.tcp://c:1"
        )

    def test_a_server_and_pipe_known_by_name_alone_are_shown(self) -> None:
        bare = [{"name": "PLC1", "status": {"state": "connected"}}]
        pipes = [{"name": "P1", "status": {"state": "running"}}]
        tree = build(document(servers=bare, pipes=pipes, fault="no database"))

        assert value(at(tree, f"{MIRROR}/servers/PLC1"), "Security") is None
        assert value(at(tree, f"{MIRROR}/pipes/P1"), "Latency, half of values") is None

    def test_an_item_shows_what_was_read_and_written(self) -> None:
        tree = build(document(items={"P1": [item()]}))

        node = at(tree, f"{MIRROR}/pipes/P1/items/17")
        assert (value(node, "Source value"), value(node, "Written value")) == (1.5, None)

    def test_the_machine_shows_what_it_is_given(self) -> None:
        load = Parameter("Load", 0.5, "", "help")
        answer = as_answer(at(build(document(host=(load,))), "REDOPC/REDOPC/host"), 0)

        assert answer["parameters"] == [{"name": "Load", "value": 0.5, "unit": "", "help": "help"}]

    def test_a_station_without_an_active_role_shows_none(self) -> None:
        facts = replace(FACTS, supervisor=SUPERVISOR | {"state": "failed"})
        node = at(build(document(station=station_body(facts))), "REDOPC")

        assert (value(node, "State"), value(node, "Active")) == ("no_active", None)
