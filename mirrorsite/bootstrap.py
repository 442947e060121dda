"""Set-up of a checkout, before anything is installed: standard library only.

`ensure` is the first thing that every command does. It makes ``.venv``, installs the hash-locked
packages into it and goes on as the same command inside. What was installed stands in a stamp that
is written last: a set-up that was interrupted has none, and the next command does it again. Of
several commands that start at the same moment one does the work; the others wait for it.

Packages and checkout are compiled then, whatever installed them and whatever the environment says
of bytecode: seven processes that each compile what they import make a start twice as long.

``python3 -m mirrorsite.bootstrap [run|test|dev]`` sets up and ends there.

| variable | meaning |
|---|---|
| ``MIRRORSITE_NO_BOOTSTRAP=1`` | the packages are there already (container, own environment) |
| ``MIRRORSITE_WHEELHOUSE`` | a folder of wheels to install from without a network |

A folder ``wheelhouse/`` in the checkout is used without being named.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)

#: The checkout's own packages.
PACKAGES = ("mirrorsite", "diagnostics", "pipes", "redundancy")

#: The lock files that each kind of command needs.
LOCKS = {
    "run": ("requirements.txt",),
    "test": ("requirements.txt", "requirements-test.txt"),
    "dev": ("requirements.txt", "requirements-test.txt", "requirements-dev.txt"),
}


class SetUpError(Exception):
    """Set-up is not possible; the text says why and what to do."""


def ensure(argv: Sequence[str]) -> None:
    """Make sure that this process runs in the checkout's own environment, set up for ``argv``.

    Returns when it does; otherwise replaces the process, or ends it with a reason on stderr.
    """
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(f"Mirrorsite needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    if os.environ.get("MIRRORSITE_NO_BOOTSTRAP", "") in {"1", "true"}:
        return
    environment = Environment(ROOT)
    changed = _set_up_or_exit(environment, "test" if argv[1:2] == ["test"] else "run")
    if changed or not environment.is_current():
        _become(environment, argv)


def _set_up_or_exit(environment: Environment, level: str) -> bool:
    try:
        return environment.set_up(level)
    except SetUpError as error:
        sys.exit(f"set-up: {error}")
    except KeyboardInterrupt:
        sys.exit("set-up: interrupted; the next command does it again")


def _become(environment: Environment, argv: Sequence[str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(environment.python, [str(environment.python), *argv])  # noqa: S606 - the same command, inside


class Environment:
    """The ``.venv`` of a checkout and what is known about it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.python = self.folder / "bin" / "python"
        self.stamp = self.folder / "mirrorsite-stamp.json"
        self.unfinished = self.folder / "mirrorsite-unfinished"
        #: Holds the time of the stamp whose packages are compiled.
        self.compiled = self.folder / "mirrorsite-compiled"

    def is_current(self) -> bool:
        """Whether this process already runs in it."""
        return Path(sys.prefix).resolve() == self.folder.resolve()

    def set_up(self, level: str) -> bool:
        """Install what ``level`` needs, unless the stamp says that it is there.

        Returns whether anything had to be installed.

        Raises:
            SetUpError: no pip, no network and no wheels, or a damaged download.

        """
        if self._is_ready(level) and self._is_compiled():
            return False
        with _one_at_a_time(self.root / "var" / "setup.lock"):
            must_install = not self._is_ready(level)  # another command may have done it meanwhile
            if must_install:
                self._install(level)
            if not self._is_compiled():
                self._compile()
        return must_install

    def _is_ready(self, level: str) -> bool:
        try:
            stamp = json.loads(self.stamp.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        if not isinstance(stamp, dict) or self.unfinished.exists():
            return False
        wanted = {**self._interpreter(), **self._digests(level)}
        return all(stamp.get(key) == value for key, value in wanted.items())

    def _is_compiled(self) -> bool:
        """Whether there is nothing to compile, or nothing that this user may compile."""
        if self.stamp.exists() and not os.access(self.folder, os.W_OK):
            return True
        try:
            return self.compiled.read_text(encoding="ascii") == self._stamped_at()
        except (OSError, ValueError):
            return False

    def _stamped_at(self) -> str:
        return str(self.stamp.stat().st_mtime_ns)

    def _compile(self) -> None:
        """Compile what has no bytecode of its time yet; it saves time only, so it may fail."""
        started = time.monotonic()
        folders = [self.folder / "lib", *(self.root / name for name in PACKAGES)]
        # A file that does not compile, such as a template, is an error for compileall only.
        compiling = [str(self.python), "-m", "compileall", "-qq", "-j", "0"]
        subprocess.run(
            [*compiling, *(str(folder) for folder in folders if folder.is_dir())],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        try:
            self.compiled.write_text(self._stamped_at(), encoding="ascii")
        except OSError as error:
            _say(f"the next command compiles again: {error}")
        _say(f"compiled in {time.monotonic() - started:.1f} s")

    def _interpreter(self) -> dict[str, str]:
        """The file behind ``bin/python``: another one after an upgrade of the machine's Python."""
        return {"interpreter": str(self.python.resolve()) if self.python.exists() else "none"}

    def _digests(self, level: str) -> dict[str, str]:
        return {
            name: hashlib.sha256((self.root / name).read_bytes()).hexdigest()
            for name in LOCKS[level]
        }

    def _install(self, level: str) -> None:
        started = time.monotonic()
        level = self._widest(level)
        wheels = _wheelhouse(self.root)
        self._make()
        if self.stamp.exists():
            self.unfinished.touch()
        self.stamp.unlink(missing_ok=True)
        names = LOCKS[level]
        origin = f" from {wheels}" if wheels else ""
        _say(f"installing the packages of {', '.join(names)}{origin}")
        _install_packages(self.python, [self.root / name for name in names], wheels)
        self._write_stamp(level)
        _say(f"ready after {time.monotonic() - started:.1f} s")

    def _widest(self, level: str) -> str:
        """Never fall back from ``dev`` or ``test``: a changed lock updates all that was there."""
        try:
            stamp = json.loads(self.stamp.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return level
        there = [name for name, locks in LOCKS.items() if all(lock in stamp for lock in locks)]
        return max([level, *there], key=list(LOCKS).index)

    def _make(self) -> None:
        """Make the environment, again if one was left half done or belongs to a Python now gone."""
        if self._is_usable():
            return
        if self.folder.exists():
            ours = self.unfinished.exists() or (self.folder / "pyvenv.cfg").exists()
            if not ours and any(self.folder.iterdir()):
                raise SetUpError(f"{self.folder} is in the way and is no environment; move it away")
            shutil.rmtree(self.folder)
        _say(f"making {self.folder} with Python {sys.version.split()[0]}")
        self.folder.mkdir()
        self.unfinished.touch()
        # `--without-pip`: Debian's Python has no ensurepip unless python3-venv is installed.
        _run([_base_python(), "-m", "venv", "--without-pip", str(self.folder)], "make .venv")

    def _is_usable(self) -> bool:
        if self.unfinished.exists() or not self.python.exists():
            return False
        asked = subprocess.run(
            [str(self.python), "-c", _PRINT_VERSION], capture_output=True, text=True, check=False
        )
        found = _numbers(asked.stdout)
        # Packages lie in a folder named after the minor version that the environment was made for.
        return found >= OLDEST_PYTHON and found[:2] == self._made_for()[:2]

    def _made_for(self) -> tuple[int, ...]:
        config = (self.folder / "pyvenv.cfg").read_text(encoding="utf-8")
        values = (line.partition("=") for line in config.splitlines())
        return next((_numbers(value) for key, _, value in values if key.strip() == "version"), ())

    def _write_stamp(self, level: str) -> None:
        version = _run([str(self.python), "-c", _PRINT_VERSION], "ask for the version of .venv")
        stamp = {"python": version.strip(), **self._interpreter(), **self._digests(level)}
        draft = self.stamp.with_suffix(".draft")
        draft.write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
        self.unfinished.unlink(missing_ok=True)
        draft.replace(self.stamp)


_PRINT_VERSION = "import platform; print(platform.python_version())"


def _numbers(version: str) -> tuple[int, ...]:
    """``3.11.2`` or ``3.13.0rc1`` as numbers to compare; empty for anything else."""
    return tuple(int(digits) for digits in re.findall(r"\d+", version)[:3])


def _base_python() -> str:
    """The interpreter outside of any environment; it may have a pip that an inner one lacks."""
    return str(getattr(sys, "_base_executable", "") or sys.executable)


def _wheelhouse(root: Path) -> Path | None:
    named = os.environ.get("MIRRORSITE_WHEELHOUSE", "")
    folder = Path(named).absolute() if named else root / "wheelhouse"
    if folder.is_dir() and any(folder.glob("*.whl")):
        return folder
    if named:
        raise SetUpError(
            f"MIRRORSITE_WHEELHOUSE is {named!r}, but there are no wheels in that folder"
        )
    return None


def _install_packages(python: Path, locks: Sequence[Path], wheels: Path | None) -> None:
    # Wheels only: hash mode does not check what the build of a source package fetches.
    wanted = ["--require-hashes", "--only-binary", ":all:"]
    if wheels:
        wanted += ["--no-index", "--find-links", str(wheels)]
    for lock in locks:
        wanted += ["-r", str(lock)]
    # Copies: linked files would share what happens to them with every other environment of uv.
    uv = shutil.which("uv")
    if uv:
        command = [
            uv,
            "pip",
            "install",
            "-q",
            "--compile-bytecode",
            "--link-mode=copy",
            "--python",
            str(python),
            *wanted,
        ]
        try:
            _run(command, "install by uv")
        except SetUpError as error:
            _say(f"{error}\ntrying pip instead")
        else:
            return
    quiet = ["-q", "--no-input", "--disable-pip-version-check", "--no-warn-script-location"]
    _run([*_pip(python, wheels), "install", *quiet, *wanted], "install the packages")


def _pip(python: Path, wheels: Path | None) -> list[str]:
    """A pip that installs into ``python``: its own, the outer one, or a new one."""
    inner = [str(python), "-m", "pip"]
    if _works([*inner, "--version"]):
        return inner
    outer = [_base_python(), "-m", "pip", "--python", str(python)]  # since pip 22.3
    if _works([*outer, "--version"]):
        return outer
    if _works([str(python), "-m", "ensurepip", "--default-pip"]):
        return inner
    carried = sorted(wheels.glob("pip-*.whl")) if wheels else []
    if carried:
        return [str(python), f"{carried[-1]}/pip"]
    raise SetUpError(
        "this Python has no pip: install python3-pip or python3-venv (apt install python3-pip), "
        "or put uv on the PATH, or a pip wheel into wheelhouse/"
    )


def _works(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(command: Sequence[str], what: str) -> str:
    environ = {
        key: value for key, value in os.environ.items() if key not in {"PIP_TARGET", "PIP_USER"}
    }
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=environ,
    )
    if done.returncode:
        tail = "\n".join(f"  | {line}" for line in done.stdout.splitlines()[-30:])
        raise SetUpError(f"could not {what} (exit status {done.returncode}):\n{tail}")
    return done.stdout


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another command sets up this checkout; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    print(f"set-up: {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    level = arguments[0] if arguments else "run"
    if level not in LOCKS:
        print(f"{level!r} is not one of {', '.join(LOCKS)}", file=sys.stderr)
        return 2
    _set_up_or_exit(Environment(ROOT), level)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
