"""Set-up of a small checkout, from a folder of wheels: real venv, real pip, no network."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mirrorsite import bootstrap
from mirrorsite.bootstrap import Environment, SetUpError
from mirrorsite.env import ROOT

MANAGE = """
import sys
from mirrorsite.bootstrap import ensure
ensure(sys.argv)
import tiny
print(tiny.VERSION, sys.prefix, sys.argv[1:])
"""


def make_wheel(folder: Path, version: str) -> str:
    """A package ``tiny`` of this version; the line that locks it."""
    folder.mkdir(exist_ok=True)
    info = f"tiny-{version}.dist-info"
    files = {
        "tiny/__init__.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{name},sha256={digest.decode()},{len(text)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    path = folder / f"tiny-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    digest_of_wheel = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"tiny=={version} --hash=sha256:{digest_of_wheel}\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / "mirrorsite").mkdir(parents=True)
    for name in ("__init__.py", "bootstrap.py"):
        shutil.copy(ROOT / "mirrorsite" / name, root / "mirrorsite" / name)
    (root / "manage.py").write_text(MANAGE)
    lock = make_wheel(root / "wheelhouse", "1.0")
    (root / "requirements.txt").write_text(lock)
    (root / "requirements-test.txt").write_text("")
    (root / "requirements-dev.txt").write_text("")
    return root


def start(checkout: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    outer = getattr(sys, "_base_executable", sys.executable)
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MIRRORSITE")}
    return subprocess.Popen(
        [outer, "manage.py", *arguments],
        cwd=checkout,
        env={**environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(checkout: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    process = start(checkout, *arguments, **variables)
    out, err = process.communicate(timeout=100)
    return process.returncode, out, err


def test_a_bare_checkout_sets_itself_up_and_goes_on_inside(checkout: Path) -> None:
    status, out, err = run(checkout, "station", "--name", "A")

    assert status == 0, err
    assert out == f"1.0 {checkout / '.venv'} ['station', '--name', 'A']\n"
    assert "set-up: making" in err
    assert "set-up: ready after" in err
    stamp = json.loads((checkout / ".venv" / "mirrorsite-stamp.json").read_text())
    lock = (checkout / "requirements.txt").read_bytes()
    assert stamp["requirements.txt"] == hashlib.sha256(lock).hexdigest()
    assert stamp["python"].startswith("3.")

    assert run(checkout, "check") == (0, f"1.0 {checkout / '.venv'} ['check']\n", "")


def test_packages_and_checkout_are_compiled_whatever_the_environment_says(checkout: Path) -> None:
    status, _, err = run(checkout, "check", PYTHONDONTWRITEBYTECODE="1")

    assert status == 0, err
    environment = Environment(checkout)
    package = next(environment.folder.glob("lib/*/site-packages/tiny"))
    assert list(package.glob("__pycache__/__init__.*.pyc"))
    assert list((checkout / "mirrorsite").glob("__pycache__/bootstrap.*.pyc"))


def test_an_environment_that_was_not_compiled_is_compiled_and_not_installed_again(
    checkout: Path,
) -> None:
    assert run(checkout, "check")[0] == 0
    environment = Environment(checkout)
    environment.compiled.unlink()
    package = next(environment.folder.glob("lib/*/site-packages/tiny"))
    shutil.rmtree(package / "__pycache__")

    status, out, err = run(checkout, "check", PYTHONDONTWRITEBYTECODE="1")

    assert (status, out) == (0, f"1.0 {checkout / '.venv'} ['check']\n")
    assert "set-up: compiled in" in err
    assert "installing" not in err
    assert list(package.glob("__pycache__/__init__.*.pyc"))


def test_a_changed_lock_is_installed_by_the_next_command(checkout: Path) -> None:
    assert run(checkout, "check")[0] == 0
    (checkout / "requirements.txt").write_text(make_wheel(checkout / "wheelhouse", "2.0"))

    status, out, err = run(checkout, "check")

    assert status == 0, err
    assert out.startswith("2.0 ")


def test_an_interrupted_set_up_is_done_again_from_the_start(checkout: Path) -> None:
    assert run(checkout, "check")[0] == 0
    environment = Environment(checkout)
    environment.stamp.unlink()
    environment.unfinished.touch()  # what is left when the machine loses power in between
    package = next(environment.folder.glob("lib/*/site-packages/tiny/__init__.py"))
    package.write_text("")

    status, out, err = run(checkout, "check")

    assert status == 0, err
    assert out.startswith("1.0 ")
    assert not environment.unfinished.exists()


def test_an_environment_made_by_hand_is_taken_over_not_removed(checkout: Path) -> None:
    outer = getattr(sys, "_base_executable", sys.executable)
    subprocess.run([outer, "-m", "venv", "--without-pip", ".venv"], cwd=checkout, check=True)
    (checkout / ".venv" / "mine").touch()

    status, out, err = run(checkout, "check")

    assert status == 0, err
    assert out.startswith("1.0 ")
    assert (checkout / ".venv" / "mine").exists()


def test_commands_that_start_together_set_up_once(checkout: Path) -> None:
    processes = [start(checkout, "check", str(number)) for number in range(3)]
    ended = [process.communicate(timeout=100) for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0], ended
    said = "".join(err for _, err in ended)
    assert said.count("set-up: installing") == 1


def test_a_damaged_package_is_refused_and_a_good_one_taken_later(checkout: Path) -> None:
    good = (checkout / "requirements.txt").read_text()
    (checkout / "requirements.txt").write_text(good[:-9] + "00000000\n")

    status, out, err = run(checkout, "check")

    assert (status, out) == (1, "")
    assert "set-up: could not install the packages" in err
    assert not Environment(checkout).stamp.exists()

    (checkout / "requirements.txt").write_text(good)
    assert run(checkout, "check")[0] == 0


def test_a_wheelhouse_that_is_not_there_is_named(checkout: Path) -> None:
    status, _, err = run(checkout, "check", MIRRORSITE_WHEELHOUSE="/no/such/folder")

    assert status == 1
    assert "MIRRORSITE_WHEELHOUSE is '/no/such/folder'" in err


def test_the_opt_out_leaves_everything_alone(checkout: Path) -> None:
    status, _, err = run(checkout, "check", MIRRORSITE_NO_BOOTSTRAP="1")

    assert status == 1
    assert "No module named 'tiny'" in err
    assert not (checkout / ".venv").exists()


def test_a_folder_in_the_way_is_not_removed(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "thesis.txt").touch()

    status, _, err = run(checkout, "check")

    assert status == 1
    assert "is in the way" in err
    assert (checkout / ".venv" / "thesis.txt").exists()


def test_a_python_without_any_pip_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "_works", lambda command: False)

    with pytest.raises(SetUpError, match="apt install python3-pip"):
        bootstrap._pip(tmp_path / "python", None)


@pytest.mark.parametrize(
    ("path", "oldest"),
    [
        ("manage.py", (3, 4)),
        ("mirrorsite/__init__.py", (3, 4)),
        ("mirrorsite/bootstrap.py", (3, 7)),
    ],
)
def test_an_older_python_can_read_as_far_as_its_error(path: str, oldest: tuple[int, int]) -> None:
    ast.parse((ROOT / path).read_text(encoding="utf-8"), feature_version=oldest)
