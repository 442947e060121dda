from __future__ import annotations

import sys
import time

import pytest

from benchmarks.rig import BenchFailed, Child, LoadServer, wait_for


def python(text: str) -> Child:
    return Child("script", [sys.executable, "-c", text])


def test_what_is_looked_for_is_given_back_as_soon_as_it_is_there() -> None:
    looks = iter((None, None, 7))

    assert wait_for(lambda: next(looks), 10, "a number") == 7


def test_what_does_not_come_is_named() -> None:
    with pytest.raises(BenchFailed, match="the moon: not within 0 s"):
        wait_for(lambda: None, 0, "the moon")


def test_a_child_that_ends_too_early_shows_its_last_words() -> None:
    with (
        python("raise SystemExit('no licence')") as child,
        pytest.raises(BenchFailed, match=r"script ended before it works:\nno licence"),
    ):
        wait_for(lambda: None, 30, "it works", child)


def test_cpu_time_counts_that_of_descendants_too() -> None:
    busy = "import time\nwhile time.process_time() < 0.2: pass\n"
    text = (
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', '''{busy}''' + 'input()'])"
    )
    with python(text) as child:
        wait_for(lambda: child.cpu_seconds() >= 0.2 or None, 30, "both were busy", child)
        assert child.rss_mb() > 5


def test_a_child_that_does_not_heed_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.rig.END_SECONDS", 0.2)
    deaf = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('deaf', flush=True)\n"
    child = python(deaf + "time.sleep(60)")
    wait_for(lambda: "deaf" in child.last_words() or None, 30, "it is deaf", child)

    began = time.monotonic()
    child.end()

    assert child.has_ended
    assert time.monotonic() - began < 30


def test_a_load_server_changes_values_and_tells_its_state() -> None:
    with LoadServer.asyncua("source", 20) as source:
        source.wait_ready()
        source.ask("reset", value=-7.0)
        assert {tuple(each[:2]) for each in source.ask("state")} == {(-7.0, 0)}
        assert source.ask("counts") == {
            "writes": 0,
            "missing": 20,
            "first_at": None,
            "synced_at": None,
        }

        source.ask("run", rate=2000.0)
        wait_for(lambda: _all_changed(source) or None, 30, "all values change", source)
        done = source.ask("halt")

    assert done["changes"] >= 20
    assert done["seconds"] > 0


def _all_changed(source: LoadServer) -> bool:
    return all(value >= 0 for value, _, _ in source.ask("state"))
