"""Servers and items that are configured wrongly, or that refuse: each says what is wrong and what
helps, and nothing else stops. F44, F45, F51.
"""

from __future__ import annotations

from itertools import count

import pytest

from tests.scenarios.mirrors import Mirror, assert_equal_final_state, took
from tests.scenarios.plants import identity, node_id
from tests.scenarios.waiting import eventually, steadily

TAGS = [f"T{index:06}" for index in range(10)]
ENCRYPTED = {"security_policy": "Basic256Sha256", "security_mode": "SignAndEncrypt"}
_numbers = count(1000)


@pytest.fixture(scope="module")
def source(shared_plant):
    return shared_plant(items=20, types=True)


@pytest.fixture(scope="module")
def foreign(shared_plant):
    return shared_plant("node", items=20)


@pytest.fixture(scope="module")
def target(shared_plant):
    return shared_plant(items=20, types=True)


@pytest.fixture(scope="module")
def secure_plant(shared_plant, tmp_path_factory):
    """A target that asks for encryption and a password."""
    return shared_plant(
        items=20,
        **identity(tmp_path_factory.mktemp("plant"), "urn:test:plant:server"),
        policies="Basic256Sha256_SignAndEncrypt",
        user="mirror",
        password="right",
    )


@pytest.fixture
def refuse():
    """Tell a plant which writes to refuse; the end of the test ends it."""
    told = []

    def tell(plant, statuses):
        told.append((plant, statuses))
        plant.ask("refuse", statuses=statuses)

    yield tell
    for plant, statuses in told:
        plant.ask("refuse", statuses=dict.fromkeys(statuses, ""))


def change(plant, names=TAGS):
    plant.set_many({name: float(next(_numbers)) for name in names})


def pids(station):
    return {process.pid for process in station.processes("--role pipes")}


def test_f44_items_that_a_target_refuses_say_why_and_leave_the_others_alone(
    shared_station, source, target, refuse
):
    names = {
        "T000000": "T000000",  # denied
        "T000001": "T000001",  # wrong type, says the server
        "T000002": "ReadOnly",
        "Scalar.String": "Scalar.Double",  # a text for a number
        "T000005": "Unknown.Node",
        **{tag: tag for tag in TAGS[6:]},
    }
    source.set("Scalar.String", "no number")
    refuse(target, {"T000000": "BadUserAccessDenied", "T000001": "BadTypeMismatch"})
    mirror = Mirror(shared_station, source, target, names).apply()
    change(source)
    mirror.wait_for_item("T000000", "error")
    before = target.ask("attempts", nodes=TAGS)

    steadily(lambda: change(source) or True, during=4, what="the source goes on")

    after = target.ask("attempts", nodes=TAGS)
    for refused in TAGS[:2]:
        tries = after[refused]["count"] - before[refused]["count"]
        assert 1 <= tries <= 5, f"{refused} was tried {tries} times in 4 s"
    healthy = Mirror(shared_station, source, target, TAGS[6:])
    assert_equal_final_state(healthy, within=2, fault="F44 the other items")

    for name, words in {
        "T000000": ("TGT", "BadUserAccessDenied", "give it the right"),
        "T000001": ("TGT", "BadTypeMismatch", "data type"),
        "T000002": ("TGT", "BadNotWritable", "read only"),
        "Scalar.String": ("no number", "Double"),
        "T000005": ("TGT", "BadNodeIdUnknown", "does not exist"),
    }.items():
        shown = mirror.wait_for_item(name, "error")
        for word in words:
            assert word in shown["reason"], (name, shown["reason"])
        assert shown["last_error"]["count"] >= 1
    assert shared_station.pipe()["errors"] >= 5
    assert any(
        "items of P1 fail" in event["message"] for event in shared_station.events(search="P1")
    ), shared_station.events()[:5]

    refuse(target, {"T000000": "", "T000001": ""})
    change(source)
    took(
        "F44 recovery after the refusals end",
        lambda: (
            source.value("T000000") == target.value("T000000")
            and source.value("T000001") == target.value("T000001")
        ),
        within=6,
    )
    mirror.wait_for_item("T000000", "good")


@pytest.mark.node
def test_c05_f45_a_target_that_takes_values_alone_is_asked_once_and_remembered(
    shared_station, foreign, make_plant
):
    target = make_plant(items=20, value_only=True)
    mirror = Mirror(shared_station, foreign, target, TAGS)
    target.ask("attempts", nodes=TAGS)
    change(foreign)
    mirror.apply()

    def is_equal():
        return foreign.values(TAGS) == target.values(TAGS)

    took("F45 first values", is_equal, within=5)

    status = mirror.server("TGT")
    assert status["writes_timestamps"] is False
    assert "writing without" in str(shared_station.events(search="TGT"))
    before = target.ask("attempts", nodes=TAGS)
    assert max(seen["count"] for seen in before.values()) <= 2, "refused once, then written"
    for _ in range(3):
        change(foreign)
        took("F45 further writes", is_equal, within=1)
    after = target.ask("attempts", nodes=TAGS)
    assert after["T000003"]["count"] - before["T000003"]["count"] == 3, "no write is refused again"

    foreign.set("T000004", 5.0, status=0x80050000)
    shown = mirror.wait_for_item("T000004", "bad")
    assert "takes no status" in shown["reason"]
    assert target.value("T000004") != 5.0, "a Bad value is never written as if it were Good"


@pytest.mark.node
def test_c05_a_pipe_that_insists_on_timestamps_says_what_the_target_refuses(
    shared_station, foreign, make_plant
):
    target = make_plant(items=20, value_only=True)
    mirror = Mirror(shared_station, foreign, target, TAGS[:2], pipe={"timestamps": "source"})
    change(foreign)
    mirror.apply()

    shown = mirror.wait_for_item("T000000", "error")
    assert "BadWriteNotSupported" in shown["reason"], shown["reason"]
    assert foreign.value("T000000") != target.value("T000000")


NAN, INFINITE = float("nan"), float("inf")


def test_f51_values_of_every_odd_kind_are_the_affair_of_their_item(shared_station, source, target):
    names = {
        **{tag: tag for tag in TAGS},
        "Scalar.Double": "Scalar.Double",
        "Scalar.Float": "Scalar.Float",
        "Scalar.Int32": "Scalar.Int32",
        "Scalar.String": "Scalar.String",
        "Array.Double": "Array.Double",
    }
    mirror = Mirror(shared_station, source, target, names).apply()
    change(source)
    assert_equal_final_state(mirror, within=15)
    hosts = pids(shared_station)
    crashes = len(shared_station.events(search="HOST"))

    for odd in (NAN, INFINITE, -INFINITE):
        source.set("Scalar.Double", odd)
        source.set("Scalar.Float", odd)
        assert_equal_final_state(mirror, within=5, fault=f"F51 {odd}")
    source.set("Scalar.String", "x" * 1_000_000)
    assert_equal_final_state(mirror, within=10, fault="F51 a text of 1 MB")

    source.set("Scalar.Double", "text", type="String")
    assert "Double" in mirror.wait_for_item("Scalar.Double", "error")["reason"]
    source.set("Scalar.Int32", 3e10, type="Double")
    assert "Int32" in mirror.wait_for_item("Scalar.Int32", "error")["reason"]
    source.set("Scalar.Float", [1.5, 2.5], type="Float")
    assert "array" in mirror.wait_for_item("Scalar.Float", "error")["reason"].lower()
    source.set("Array.Double", 1.5, type="Double")
    assert mirror.wait_for_item("Array.Double", "error")["reason"]
    source.set("Scalar.String", None, type="Null")
    reason = mirror.wait_for_item("Scalar.String", "bad")["reason"]
    assert reason == "the source has no value; the target has been told, on its last good value"

    change(source)
    plain = Mirror(shared_station, source, target, TAGS)
    assert_equal_final_state(plain, within=2, fault="F51 the other items")
    source.set("Scalar.Double", 1.25, type="Double")
    source.set("Scalar.Float", 1.25, type="Float")
    source.set("Scalar.Int32", 7, type="Int32")
    source.set("Scalar.String", "well", type="String")
    source.set("Array.Double", [4.0, 5.0], type="Double")
    assert_equal_final_state(mirror, within=5, fault="F51 sane again")
    eventually(lambda: shared_station.pipe()["good"] == len(names), within=5)
    assert pids(shared_station) == hosts, "a pipe host was replaced"
    assert len(shared_station.events(search="HOST")) == crashes


@pytest.mark.node
def test_c02_an_unknown_node_and_an_unknown_namespace_name_themselves(
    shared_station, foreign, target
):
    mirror = Mirror(
        shared_station,
        foreign,
        target,
        {**{tag: tag for tag in TAGS}, "Nobody": "T000012"},
        items={
            "T000001": {"target_node": "nsu=urn:nowhere;s=X"},
            "T000002": {"source_node": "nsu=urn:nowhere;s=T000002"},
        },
    ).apply()

    shown = mirror.wait_for_item("Nobody", "error")
    assert "SRC" in shown["reason"]
    assert "BadNodeIdUnknown" in shown["reason"]
    for name, server in (("T000001", "TGT"), ("T000002", "SRC")):
        shown = mirror.wait_for_item(name, "error")
        assert "urn:nowhere" in shown["reason"]
        assert server in shown["reason"]
    others = Mirror(shared_station, foreign, target, TAGS[3:])
    change(foreign)
    assert_equal_final_state(others, within=5)


def test_a_certificate_is_refused_shown_trusted_and_then_the_password_matters(
    shared_station, source, secure_plant
):
    login = {**ENCRYPTED, "auth": "username", "username": "mirror", "password": "wrong"}
    mirror = Mirror(shared_station, source, secure_plant, TAGS, servers={"TGT": login}).apply()

    status = mirror.wait_for_server("TGT", "rejected")
    shown = eventually(lambda: shared_station.get("/servers/TGT/certificate"), within=5)
    assert shown["trusted"] is False
    assert shown["thumbprint"] in status["reason"]
    event = eventually(lambda: shared_station.events(search=shown["thumbprint"]), within=10)[0]
    assert "not in the trust list" in event["message"]

    answer = shared_station.api(
        "POST",
        "/servers/TGT/certificate",
        {"action": "trust", "thumbprint": shown["thumbprint"]},
    )
    assert answer.status == 200, answer.raw
    status = took_reason(mirror, "log in")
    assert "Check the login" in status["reason"]
    assert "wrong" not in status["reason"]

    answer = shared_station.api("PATCH", "/servers/TGT", {"password": "right"})
    assert answer.status == 200, answer.raw
    assert_equal_final_state(mirror, within=5, fault="trusted, and the password right")
    assert mirror.server("TGT")["state"] == "connected"

    answer = shared_station.api(
        "POST",
        "/servers/TGT/certificate",
        {"action": "reject", "thumbprint": shown["thumbprint"]},
    )
    assert answer.status == 200, answer.raw


def took_reason(mirror, word):
    seen = {}

    def look():
        seen.update(mirror.server("TGT"))
        return word in seen["reason"]

    took("certificate trusted -> connecting at once", look, within=5)
    return seen


def test_a_policy_that_the_server_does_not_have_is_named_with_those_it_has(
    shared_station, source, target
):
    mirror = Mirror(shared_station, source, target, TAGS, servers={"TGT": ENCRYPTED}).apply()

    status = eventually(
        lambda: (s := mirror.server("TGT"))["state"] in ("rejected", "disconnected") and s,
        within=10,
    )

    assert "Basic256Sha256" in status["reason"]
    assert "None" in status["reason"]


def test_nobody_there_and_somebody_else_there_are_told_apart(shared_station, source, target):
    port = target.port
    mirror = Mirror(
        shared_station,
        source,
        target,
        TAGS,
        servers={"TGT": {"endpoint": "opc.tcp://127.0.0.1:1"}},
    ).apply()
    assert "Is the server running" in mirror.wait_for_server("TGT", "disconnected")["reason"]

    web = shared_station.port
    mirror.configuration["servers"][1]["endpoint"] = f"opc.tcp://127.0.0.1:{web}"
    mirror.apply()
    status = eventually(
        lambda: (s := mirror.server("TGT"))["reason"] not in ("", "connecting") and s, within=15
    )
    assert status["state"] in ("disconnected", "quarantined")
    mirror.configuration["servers"][1]["endpoint"] = f"opc.tcp://127.0.0.1:{port}/plant/"
    mirror.apply()
    change(source)
    assert_equal_final_state(mirror, within=5, fault="the right address")
    assert node_id(TAGS[0]) in str(shared_station.get("/items?pipe=P1&limit=1"))
