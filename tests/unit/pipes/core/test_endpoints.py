from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from pipes.core import endpoints
from pipes.core.problems import WrongError


@pytest.mark.parametrize(
    "url",
    [
        "opc.tcp://10.0.0.5:4840",
        "opc.tcp://127.0.0.1:4840/freeopcua/server/",
        "opc.tcp://plc-7.werk_süd.example:4840",
        "opc.tcp://[::1]:4840",
        "opc.tcp://[fd12::1]:4840/UA",
        "opc.tcp://PLC1.:1",
    ],
)
def test_an_endpoint_is_taken(url: str) -> None:
    assert endpoints.endpoint(url) == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (7, "must be text"),
        ("", "must begin with opc.tcp://"),
        ("http://plc:4840", "must begin with opc.tcp://"),
        ("OPC.TCP://plc:4840", "must begin with opc.tcp://"),
        ("opc.tcp://plc", "must name a host and a port"),
        ("opc.tcp://plc:0", "must name a host and a port"),
        ("opc.tcp://:4840", "must name a host and a port"),
        ("opc.tcp://plc:70000", "must be an endpoint"),
        ("opc.tcp://plc:x", "must be an endpoint"),
        ("opc.tcp://[::1:4840", "must be an endpoint"),
        ("opc.tcp://a b:4840", "must be an endpoint"),
        ("opc.tcp://plc:4840\\evil", "must be an endpoint"),
        ("opc.tcp://plc:4840/\n", "must be an endpoint"),
        ("opc.tcp://plc:4840/" + "x" * 2000, "must be an endpoint"),
        ("opc.tcp://plc:4840?x=1", "must not have a query"),
        ("opc.tcp://plc:4840/#a", "must not have a query"),
        ("opc.tcp://anna:geheim@plc:4840", "must not contain credentials"),
        ("opc.tcp://169.254.169.254:4840", "link-local"),
        ("opc.tcp://[fe80::1]:4840", "link-local"),
        ("opc.tcp://[::ffff:169.254.1.1]:4840", "link-local"),
        ("opc.tcp://2852039166:4840", "neither a name nor an IPv4 address"),
        ("opc.tcp://0xa9.254.169.254:4840", "neither a name nor an IPv4 address"),
        ("opc.tcp://100.100.100.200:4840", "metadata service"),
        ("opc.tcp://[fd00:ec2::254]:4840", "metadata service"),
        ("opc.tcp://metadata.google.internal:80", "metadata service"),
        ("opc.tcp://224.0.0.1:4840", "not the address of one machine"),
        ("opc.tcp://0.0.0.0:4840", "not the address of one machine"),
        ("opc.tcp://-plc:4840", "neither a name nor an address"),
    ],
)
def test_an_address_that_must_not_be_connected_to_is_refused(url: Any, why: str) -> None:
    with pytest.raises(WrongError) as caught:
        endpoints.endpoint(url)
    (error,) = caught.value.errors
    assert why in error.message


@pytest.mark.parametrize(
    "url", ["opc.tcp://a:geheim@plc:1", "opc.tcp://a:geheim@plc", "x://a:geheim@h"]
)
def test_a_refused_login_is_not_shown(url: str) -> None:
    with pytest.raises(WrongError) as caught:
        endpoints.endpoint(url)
    assert "geheim" not in str(caught.value.errors)


def test_an_optional_endpoint_may_be_empty() -> None:
    assert endpoints.optional_endpoint("") == ""
    assert endpoints.optional_endpoint("opc.tcp://plc:4840") == "opc.tcp://plc:4840"


def test_a_resolved_address_is_judged_like_a_literal_one() -> None:
    assert endpoints.forbidden_address(ipaddress.ip_address("10.0.0.1")) is None
    assert endpoints.forbidden_address(ipaddress.ip_address("169.254.0.1")) is not None
