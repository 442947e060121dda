"""The file of a browsed address space: what goes in comes out, and never half of it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from pipes.browse_cache import BrowseCache, CacheError, cache_file
from pipes.browse_writer import (
    BROWSED,
    REFUSED,
    BusyError,
    CacheWriter,
    Described,
    Found,
    forget_others,
)

META = {"server": "A", "endpoint": "opc.tcp://a", "node": "i=85", "browsed_at": "now"}
ROOT = Found("i=85", 0, "", "", 1, is_property=False)


def folder_node(name: str) -> Found:
    return Found(f"ns=1;s={name}", 1, name, name, 1, is_property=False)


def variable(name: str, *, is_property: bool = False) -> Found:
    return Found(f"ns=1;s={name}", 1, name, f"The {name}", 2, is_property=is_property)


def written(folder: Path, server: str = "A") -> CacheWriter:
    """i=85 / F / (V with property P, W with X below it), and a reference back to F."""
    writer = CacheWriter(folder, server)
    writer.begin(ROOT)
    writer.add(1, [folder_node("F")])
    writer.add(2, [variable("V"), variable("W"), folder_node("F")])
    writer.add(3, [variable("P", is_property=True)])
    writer.add(4, [variable("X"), folder_node("F")])
    writer.describe([Described(3, "Duration", "Double", -1, 3)])
    return writer


def test_a_finished_cache_is_read_as_it_was_browsed(tmp_path):
    written(tmp_path).finish(META)

    with BrowseCache(tmp_path, "a", "opc.tcp://a") as cache:
        root = cache.find("i=85")
        rows = {row.name: row for _, row in cache.walk(root.id)}
        assert {name for name, row in rows.items() if row.is_leaf} == {"V", "X"}
        found = rows["V"]
        assert (found.data_type, found.type, found.rank, found.access) == (
            "Duration",
            "Double",
            -1,
            3,
        )
        assert (found.space, found.shown, found.has_children) == (1, "The V", True)
        assert (rows["X"].type, rows["X"].rank, rows["X"].access) == ("", None, 0)
        assert cache.meta["nodes"] == "6"
        assert cache.meta["variables"] == "4"
        assert cache.find("ns=1;s=Nothing") is None


def test_children_and_search_come_in_pages(tmp_path):
    written(tmp_path).finish(META)

    with BrowseCache(tmp_path, "A", "opc.tcp://a") as cache:
        folder = cache.find("ns=1;s=F")
        first = cache.children(folder.id, 0, 1)
        second = cache.children(folder.id, first[-1].id, 10)
        deep = cache.search(1, 64, "THE ", 0, 10)
        shallow = cache.search(1, 2, "the ", 0, 10)
        rest = cache.search(1, 64, "the", deep[0].id, 2)

    assert [row.name for row in first + second] == ["F", "V", "W"]
    assert [row.name for row in deep] == ["V", "W", "P", "X"]
    assert [row.name for row in shallow] == ["V", "W"]
    assert [row.name for row in rest] == ["W", "P"]


def test_the_writer_is_the_list_of_what_is_to_do(tmp_path):
    writer = written(tmp_path)

    assert writer.to_browse(10, 100) == [(1, "i=85"), (2, "ns=1;s=F")]
    writer.mark([1, 2], BROWSED)
    assert writer.to_browse(10, 1) == [(3, "ns=1;s=V")]
    assert [key for key, _ in writer.to_browse(1, 10)] == [3, 4, 6]
    writer.mark([3, 4], BROWSED)
    writer.mark([6], REFUSED)
    assert writer.to_browse(10, 10) == []
    assert [key for key, _ in writer.to_describe(2)] == [4, 5]
    assert (writer.nodes, writer.browsed, writer.refused) == (6, 4, 1)
    assert writer.progress > 12
    writer.abandon()


def test_an_abandoned_browse_leaves_the_cache_of_before(tmp_path):
    written(tmp_path).finish(META)
    half = CacheWriter(tmp_path, "A")
    half.begin(ROOT)
    half.abandon()
    half.abandon()

    with BrowseCache(tmp_path, "A", "opc.tcp://a") as cache:
        assert cache.meta["nodes"] == "6"
    assert not list(tmp_path.glob("*.part"))


def test_a_reader_keeps_what_it_has_opened(tmp_path):
    written(tmp_path).finish(META)
    with BrowseCache(tmp_path, "A", "opc.tcp://a") as cache:
        other = CacheWriter(tmp_path, "A")
        other.begin(ROOT)
        other.finish(META)
        assert len(list(cache.walk(1))) == 5
    with BrowseCache(tmp_path, "A", "opc.tcp://a") as cache:
        assert list(cache.walk(1)) == []


def test_what_is_known_of_servers_that_are_gone_is_forgotten(tmp_path):
    for server in ("A", "Gone", "New"):
        written(tmp_path, server).finish(META)
    for path in tmp_path.glob(f"{cache_file(tmp_path, 'gone').stem}.*"):
        os.utime(path, (1000, 1000))

    forget_others(tmp_path, ["a"], 2000.0)

    assert cache_file(tmp_path, "A").exists()
    assert cache_file(tmp_path, "New").exists(), "another worker may have made it just now"
    assert not list(tmp_path.glob(f"{cache_file(tmp_path, 'Gone').stem}*"))


def test_one_writer_at_a_time(tmp_path):
    first = CacheWriter(tmp_path, "A")
    with pytest.raises(BusyError, match="is being browsed by another"):
        CacheWriter(tmp_path, "a")
    first.abandon()
    CacheWriter(tmp_path, "A").abandon()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.unlink(), "not browsed yet"),
        (lambda path: path.write_bytes(b"no database"), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:3000]), "damaged"),
        (
            lambda path: sqlite3.connect(path, isolation_level=None).execute(
                "UPDATE meta SET value = '0' WHERE key = 'format'"
            ),
            "another version",
        ),
        (lambda path: None, "another endpoint"),
    ],
)
def test_a_cache_that_cannot_be_used_says_why(tmp_path, change, words):
    written(tmp_path).finish(META)
    change(cache_file(tmp_path, "A"))

    with pytest.raises(CacheError, match=words), BrowseCache(tmp_path, "A", "opc.tcp://b") as cache:
        list(cache.walk(1))
