from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mirrorsite.env import (
    ROOT,
    SettingError,
    apply_options,
    make_folders,
    prepare,
    read_station,
)


def environ(tmp_path: Path, **settings: str) -> dict[str, str]:
    named = {f"MIRRORSITE_{name.upper()}": value for name, value in settings.items()}
    return {"MIRRORSITE_DATA_DIR": str(tmp_path / "data"), **named}


class TestReadStation:
    def test_the_defaults_make_a_simplex_station_on_loopback(self, tmp_path: Path) -> None:
        station = read_station(environ(tmp_path))

        assert station.name == "REDOPC"
        assert (station.http_host, station.http_port) == ("127.0.0.1", 8000)
        assert station.public_url == "http://127.0.0.1:8000"
        assert (station.peer, station.initial_role) == ("", "active")
        assert station.pipe_workers == 2

    def test_the_data_folder_is_named_after_the_station(self) -> None:
        assert read_station({"MIRRORSITE_STATION": "PLANT_1"}).data_dir == ROOT / "var" / "PLANT_1"

    def test_the_environment_beats_station_toml(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "station.toml").write_text(
            'http = "127.0.0.1:9000"\npipe_workers = 4\ninsecure_http = true\n'
        )

        station = read_station(environ(tmp_path, http="127.0.0.1:9100"))

        assert station.http_port == 9100
        assert station.pipe_workers == 4
        assert station.insecure_http

    def test_an_ipv6_address_keeps_its_brackets_in_the_url(self, tmp_path: Path) -> None:
        station = read_station(environ(tmp_path, http="[::1]:8000"))

        assert station.http_host == "::1"
        assert station.public_url == "http://[::1]:8000"

    def test_a_certificate_makes_the_url_https(self, tmp_path: Path) -> None:
        station = read_station(environ(tmp_path, tls_cert="/c.pem", tls_key="/k.pem"))

        assert station.public_url == "https://127.0.0.1:8000"

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            pytest.param({"station": "a b"}, "MIRRORSITE_STATION is 'a b'", id="name"),
            pytest.param({"http": "8000"}, "MIRRORSITE_HTTP is '8000'", id="address"),
            pytest.param({"http": "h:99999"}, "MIRRORSITE_HTTP is 'h:99999'", id="port"),
            pytest.param({"pipe_workers": "0"}, "1 to 16", id="too few workers"),
            pytest.param({"pipe_workers": "x"}, "MIRRORSITE_PIPE_WORKERS is 'x'", id="no number"),
            pytest.param({"chaos": "maybe"}, "MIRRORSITE_CHAOS is 'maybe'", id="flag"),
            pytest.param({"initial_role": "boss"}, "active, standby or simplex", id="role"),
            pytest.param({"initial_role": "standby"}, "names no peer", id="standby alone"),
            pytest.param(
                {"initial_role": "simplex", "peer": "h:1"}, "names a peer", id="simplex with a peer"
            ),
            pytest.param({"redis_url": "http://x"}, "MIRRORSITE_REDIS_URL takes", id="redis"),
            pytest.param({"database_url": "postgres://x"}, "SQLite", id="database"),
        ],
    )
    def test_a_value_that_cannot_be_used_is_refused_by_name(
        self, tmp_path: Path, settings: dict[str, str], said: str
    ) -> None:
        with pytest.raises(SettingError, match="MIRRORSITE_") as refused:
            read_station(environ(tmp_path, **settings))

        assert said in str(refused.value)
        assert not (tmp_path / "data").exists()

    def test_a_refused_redis_url_does_not_show_its_password(self, tmp_path: Path) -> None:
        with pytest.raises(SettingError) as refused:
            read_station(environ(tmp_path, redis_url="rediz://:secret@host"))

        assert "secret" not in str(refused.value)

    @pytest.mark.parametrize(
        ("toml", "said"),
        [
            pytest.param("http =", "not valid TOML", id="broken"),
            pytest.param('htpp = "127.0.0.1:1"', "did you mean http?", id="misspelt"),
            pytest.param("colour = 1", "see docs/settings.md", id="unknown"),
        ],
    )
    def test_a_wrong_station_toml_is_refused_by_its_path(
        self, tmp_path: Path, toml: str, said: str
    ) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "station.toml").write_text(toml)

        with pytest.raises(SettingError, match=r"station\.toml") as refused:
            read_station(environ(tmp_path))

        assert said in str(refused.value)


class TestRunDir:
    def test_it_is_short_and_the_same_for_the_same_data_folder(self, tmp_path: Path) -> None:
        first, again = (read_station(environ(tmp_path)).run_dir for _ in range(2))
        other = read_station(environ(tmp_path / "other")).run_dir

        assert first == again
        assert first != other
        assert len(os.fsencode(first / "supervisor.sock")) < 107

    def test_a_started_station_is_found_by_its_note(self, tmp_path: Path) -> None:
        station = read_station(environ(tmp_path, run_dir=str(tmp_path / "run")))
        make_folders(station)

        assert read_station(environ(tmp_path)).run_dir == tmp_path / "run"


class TestMakeFolders:
    def test_both_are_private(self, tmp_path: Path) -> None:
        station = read_station(environ(tmp_path, run_dir=str(tmp_path / "run")))

        make_folders(station)

        for folder in (station.data_dir, station.run_dir):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_a_run_folder_open_to_others_is_closed(self, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir(mode=0o755)
        station = read_station(environ(tmp_path, run_dir=str(tmp_path / "run")))

        make_folders(station)

        assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700

    def test_a_link_in_place_of_the_run_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
        station = read_station(environ(tmp_path, run_dir=str(tmp_path / "run")))

        with pytest.raises(SettingError, match="MIRRORSITE_RUN_DIR"):
            make_folders(station)

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        station = read_station({"MIRRORSITE_DATA_DIR": str(tmp_path / "file" / "data")})

        with pytest.raises(SettingError, match=r"MIRRORSITE_DATA_DIR.*Not a directory"):
            make_folders(station)


class TestOptions:
    def test_options_become_variables_in_both_spellings(self) -> None:
        found: dict[str, str] = {}

        apply_options(["--name", "A", "--http=127.0.0.1:1", "--allow-chaos", "rest"], found)

        assert found == {
            "MIRRORSITE_STATION": "A",
            "MIRRORSITE_HTTP": "127.0.0.1:1",
            "MIRRORSITE_CHAOS": "1",
        }

    def test_an_option_beats_the_environment(self, tmp_path: Path) -> None:
        found = environ(tmp_path, station="FROM_ENV")

        prepare(["station", "--name", "FROM_OPTION"], found)

        assert read_station(found).name == "FROM_OPTION"

    def test_the_demo_ignores_the_environment(self) -> None:
        found = {"MIRRORSITE_STATION": "OTHER", "MIRRORSITE_REDIS_URL": "redis://x", "PATH": "/bin"}

        prepare(["demo"], found)

        assert found == {
            "MIRRORSITE_DATA_DIR": str(ROOT / "var" / "demo" / "REDOPC"),
            "PATH": "/bin",
        }

    def test_the_options_of_pytest_are_left_to_it(self, tmp_path: Path) -> None:
        found = environ(tmp_path)

        prepare(["test", "--name", "not a station"], found)

        assert "MIRRORSITE_STATION" not in found
