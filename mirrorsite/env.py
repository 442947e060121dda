"""The settings of one station: options over environment over ``station.toml``.

Every command takes ``--name`` and ``--data-dir``; ``station`` takes more. Options are turned into
environment variables before Django loads (`apply_options`), so there is one way in for all of
them, and every child process inherits it. A value that cannot be used is refused by the name of
the variable that holds it.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PREFIX: Final = "MIRRORSITE_"
STATION_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")

#: Options and the variables that they set; ``station.toml`` uses the lower-case names.
OPTIONS: Final[Mapping[str, str]] = {
    "--name": "MIRRORSITE_STATION",
    "--data-dir": "MIRRORSITE_DATA_DIR",
    "--run-dir": "MIRRORSITE_RUN_DIR",
    "--http": "MIRRORSITE_HTTP",
    "--public-url": "MIRRORSITE_PUBLIC_URL",
    "--opcua": "MIRRORSITE_OPCUA",
    "--link": "MIRRORSITE_LINK",
    "--peer": "MIRRORSITE_PEER",
    "--initial-role": "MIRRORSITE_INITIAL_ROLE",
    "--pipe-workers": "MIRRORSITE_PIPE_WORKERS",
}
FLAGS: Final[Mapping[str, str]] = {"--allow-chaos": "MIRRORSITE_CHAOS"}


#: Read by `mirrorsite.bootstrap`, before there is a station.
BOOTSTRAP_VARIABLES: Final = frozenset({"MIRRORSITE_NO_BOOTSTRAP", "MIRRORSITE_WHEELHOUSE"})


#: Every setting of a station; each has its heading in ``docs/settings.md``.
SETTINGS: Final = frozenset(
    {
        *OPTIONS.values(),
        *FLAGS.values(),
        "MIRRORSITE_TLS_CERT",
        "MIRRORSITE_TLS_KEY",
        "MIRRORSITE_INSECURE_HTTP",
        "MIRRORSITE_DATABASE_URL",
        "MIRRORSITE_REDIS_URL",
        "MIRRORSITE_OPCUA_ANONYMOUS",
        "MIRRORSITE_REBOOT_COMMAND",
        "MIRRORSITE_FENCE_COMMAND",
    }
)


class SettingError(ValueError):
    """A setting that cannot be used; the text names it and says what would be right."""


@dataclass(frozen=True, slots=True)
class StationSettings:
    """What one station was told from outside; see the table in ``docs/settings.md``."""

    name: str
    data_dir: Path
    run_dir: Path
    http_host: str
    http_port: int
    public_url: str
    tls_cert: str
    tls_key: str
    insecure_http: bool
    opcua: str
    link: str
    peer: str
    initial_role: str
    pipe_workers: int
    redis_url: str
    chaos: bool

    @property
    def supervisor_socket(self) -> Path:
        return self.run_dir / "supervisor.sock"

    @property
    def browse_folder(self) -> Path:
        """What is known of the servers' address spaces."""
        return self.data_dir / "browse"

    @property
    def board_file(self) -> Path:
        return self.run_dir / "board"

    def host_socket(self, index: int) -> Path:
        """Where the pipe host of worker ``index`` (from 1) answers questions about its pipes."""
        return self.run_dir / f"pipes-{index}.sock"


def prepare(command_line: Sequence[str], environ: MutableMapping[str, str]) -> None:
    """Make the environment of one command, before Django reads its settings.

    The options of the command line become variables. The demo has a station of its own and takes
    nothing from the environment.

    Raises:
        SettingError: a value is not usable.

    """
    command = command_line[0] if command_line else ""
    if command == "demo":
        for variable in [key for key in environ if key.startswith(PREFIX)]:
            if variable not in BOOTSTRAP_VARIABLES:
                del environ[variable]
        environ["MIRRORSITE_DATA_DIR"] = str(ROOT / "var" / "demo" / "REDOPC")
    elif command != "test":  # all its options are pytest's
        apply_options(command_line[1:], environ)
    read_station(environ)


def apply_options(arguments: Sequence[str], environ: MutableMapping[str, str]) -> None:
    """Turn the options of ``OPTIONS`` and ``FLAGS`` in a command line into variables."""
    index = 0
    while index < len(arguments):
        option, equals, value = arguments[index].partition("=")
        if option in FLAGS:
            environ[FLAGS[option]] = "1"
        elif option in OPTIONS:
            if not equals:
                index += 1
                if index >= len(arguments):
                    return  # the command's own parser reports the missing value
                value = arguments[index]
            environ[OPTIONS[option]] = value
        index += 1


def read_station(environ: Mapping[str, str]) -> StationSettings:
    """Read and check the station's settings.

    Raises:
        SettingError: a value is not usable; nothing was created.

    """
    name = environ.get("MIRRORSITE_STATION", "") or "REDOPC"
    data_dir = Path(environ.get("MIRRORSITE_DATA_DIR", "") or ROOT / "var" / name).absolute()
    values = {**_station_toml(data_dir / "station.toml"), **_given(environ)}
    name = values.get("station", "REDOPC")
    if not STATION_NAME.fullmatch(name):
        raise SettingError(
            f"MIRRORSITE_STATION is {name!r}; a station's name is 1 to 64 of A–Z a–z 0–9 _ . -"
        )
    if values.get("database_url"):
        raise SettingError(
            "MIRRORSITE_DATABASE_URL is set, but this version keeps its data in SQLite; remove it"
        )
    host, port = _address("MIRRORSITE_HTTP", values.get("http", "127.0.0.1:8000"))
    tls_cert = _path(values.get("tls_cert", ""))
    scheme = "https" if tls_cert else "http"
    return StationSettings(
        name=name,
        data_dir=data_dir,
        run_dir=_run_dir(values.get("run_dir", ""), data_dir),
        http_host=host,
        http_port=port,
        public_url=(values.get("public_url") or f"{scheme}://{_bracketed(host)}:{port}").rstrip(
            "/"
        ),
        tls_cert=tls_cert,
        tls_key=_path(values.get("tls_key", "")),
        insecure_http=_flag("MIRRORSITE_INSECURE_HTTP", values.get("insecure_http", "")),
        opcua=values.get("opcua", "127.0.0.1:4840"),
        link=values.get("link", "127.0.0.1:7800"),
        peer=values.get("peer", ""),
        initial_role=_role(values.get("initial_role", "active"), values.get("peer", "")),
        pipe_workers=_integer("MIRRORSITE_PIPE_WORKERS", values.get("pipe_workers", "2"), 1, 16),
        redis_url=_redis_url(values.get("redis_url", "")),
        chaos=_flag("MIRRORSITE_CHAOS", values.get("chaos", "")),
    )


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        key.removeprefix(PREFIX).lower(): value
        for key, value in environ.items()
        if key.startswith(PREFIX) and value != ""
    }


def _station_toml(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"{path}: not valid TOML: {error}") from error
    known = {setting.removeprefix(PREFIX).lower() for setting in SETTINGS}
    for key in document:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ", see docs/settings.md"
            raise SettingError(f"{path}: {key} is no setting{hint}")
    return {key: _toml_text(value) for key, value in document.items()}


def _toml_text(value: object) -> str:
    return ("1" if value else "0") if isinstance(value, bool) else str(value)


def _address(variable: str, text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536:
        raise SettingError(f"{variable} is {text!r}; it takes host:port, such as 127.0.0.1:8000")
    return host.strip("[]") or "127.0.0.1", int(port)


def _path(text: str) -> str:
    return str(Path(text).absolute()) if text else ""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _integer(variable: str, text: str, least: int, most: int) -> int:
    if not text.isdigit() or not least <= int(text) <= most:
        raise SettingError(f"{variable} is {text!r}; it takes a whole number, {least} to {most}")
    return int(text)


def _flag(variable: str, text: str) -> bool:
    if text.lower() not in {"", "0", "1", "true", "false"}:
        raise SettingError(f"{variable} is {text!r}; it takes 1 or 0")
    return text.lower() in {"1", "true"}


def _redis_url(text: str) -> str:
    scheme, _, rest = text.partition("://")
    if text and (scheme not in {"redis", "rediss", "unix"} or not rest):
        raise SettingError(
            "MIRRORSITE_REDIS_URL takes redis://host:port/0, rediss://… or unix:///path"
        )  # its value may hold a password
    return text


def _role(role: str, peer: str) -> str:
    if role not in {"active", "standby", "simplex"}:
        raise SettingError(
            f"MIRRORSITE_INITIAL_ROLE is {role!r}; it takes active, standby or simplex"
        )
    if role == "standby" and not peer:
        raise SettingError("MIRRORSITE_INITIAL_ROLE is standby, but MIRRORSITE_PEER names no peer")
    if role == "simplex" and peer:
        raise SettingError("MIRRORSITE_INITIAL_ROLE is simplex, but MIRRORSITE_PEER names a peer")
    return role


def _run_dir(text: str, data_dir: Path) -> Path:
    """A short folder for sockets: unix socket paths end at 107 bytes."""
    if text:
        return Path(text).absolute()
    note = data_dir / "run"
    if note.is_file():
        return Path(note.read_text(encoding="utf-8").strip())
    parent = next(
        (
            Path(place)
            for place in (
                os.environ.get("XDG_RUNTIME_DIR", ""),
                "/dev/shm",  # noqa: S108 - a private folder is made in it, and its owner checked
                tempfile.gettempdir(),
            )
            if place and Path(place).is_dir() and os.access(place, os.W_OK)
        ),
        Path(tempfile.gettempdir()),
    )
    return parent / made_up_run_name(data_dir)


def made_up_run_name(data_dir: Path) -> str:
    """The name of a run folder that nobody gave: one for each user and data folder."""
    digest = hashlib.sha256(f"{os.getuid()}:{data_dir}".encode()).hexdigest()[:12]
    return f"mirrorsite-{digest}"


def make_folders(station: StationSettings) -> None:
    """Make the data and run folders, private to this user; leave the run folder's path behind.

    Raises:
        SettingError: a folder cannot be made or belongs to somebody else.

    """
    for variable, folder in (
        ("MIRRORSITE_DATA_DIR", station.data_dir),
        ("MIRRORSITE_RUN_DIR", station.run_dir),
    ):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingError(f"{variable}: {folder}: {error.strerror}") from error
    found = station.run_dir.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise SettingError(
            f"{station.run_dir} is not a folder of this user; set MIRRORSITE_RUN_DIR"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        station.run_dir.chmod(0o700)
    note = station.data_dir / "run"
    if not note.is_file() or note.read_text(encoding="utf-8").strip() != str(station.run_dir):
        note.write_text(f"{station.run_dir}\n", encoding="utf-8")
