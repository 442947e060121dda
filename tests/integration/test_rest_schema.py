"""What the product says of itself: OpenAPI, deployment checks, and what the web process loads."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from django.core.management import call_command

from mirrorsite.env import ROOT
from pipes import schemas
from pipes.core.fields import FIELDS, Kind


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("MIRRORSITE_")
    }
    environment |= {"PYTHONPATH": str(ROOT), "MIRRORSITE_NO_BOOTSTRAP": "1", **variables}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_committed_description_is_current_and_valid() -> None:
    out = io.StringIO()

    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)

    committed = (ROOT / "schema.yml").read_text(encoding="utf-8")
    assert out.getvalue().strip() == committed.strip(), (
        "schema.yml is old; run: manage.py spectacular --validate --fail-on-warn --file schema.yml"
    )


@pytest.mark.parametrize("kind", list(Kind))
def test_the_description_has_every_field_of_the_configuration(kind: Kind) -> None:
    body = schemas.components()[kind.capitalize()]

    assert set(FIELDS[kind]) <= set(body["properties"])
    assert body["required"] == [n for n, each in FIELDS[kind].items() if each.required]


def test_a_deployment_with_tls_has_no_warning(tmp_path: Path) -> None:
    issued = trustme.CA().issue_cert("localhost")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))

    done = run(
        "manage.py",
        "check",
        "--deploy",
        "--fail-level",
        "WARNING",
        MIRRORSITE_DATA_DIR=str(tmp_path / "data"),
        MIRRORSITE_TLS_CERT=str(certificate),
        MIRRORSITE_TLS_KEY=str(key),
    )

    assert done.returncode == 0, done.stderr
    assert "no issues (0 silenced)" in done.stdout


def test_the_web_process_never_loads_the_opc_ua_library(tmp_path: Path) -> None:
    script = (
        "import sys, mirrorsite.asgi; from django.urls import get_resolver; "
        "get_resolver().url_patterns; print('asyncua' in sys.modules)"
    )

    done = run("-c", script, MIRRORSITE_DATA_DIR=str(tmp_path))

    assert done.stdout.strip() == "False", done.stderr


class TestCommandsOnANewMachine:
    """Before the first start there is no data folder and no database."""

    def test_a_token_can_be_made_before_the_first_start(self, tmp_path: Path) -> None:
        data_dir = tmp_path / "data"

        done = run(
            "manage.py", "create_token", "script", "--role", "admin", "--data-dir", str(data_dir)
        )

        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("mir_")
        assert len(done.stdout.splitlines()) == 1
        assert (data_dir / "db.sqlite3").is_file()
        assert not (data_dir / "setup-code").exists()

    def test_two_commands_at_once_make_one_database(self, tmp_path: Path) -> None:
        data_dir = str(tmp_path / "data")
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MIRRORSITE_")},
            "PYTHONPATH": str(ROOT),
            "MIRRORSITE_NO_BOOTSTRAP": "1",
        }
        command = [sys.executable, "manage.py", "create_token", "script", "--role", "viewer"]
        started = [
            subprocess.Popen(
                [*command, "--data-dir", data_dir],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]

        answers = [process.communicate(timeout=100) for process in started]

        assert [process.returncode for process in started] == [0, 0], answers
        assert len({out for out, _ in answers}) == 2

    @pytest.mark.parametrize(
        ("arguments", "status"),
        [
            (["create_token", "script", "--role", "boss"], 2),
            (["create_token", "--role", "viewer"], 2),
            (["create_token", "a/b", "--role", "viewer"], 1),
            (["create_token", "x", "--role", "viewer", "--days", "0"], 1),
        ],
    )
    def test_the_exit_status_tells_wrong_usage_from_refusal(
        self, tmp_path: Path, arguments: list[str], status: int
    ) -> None:
        done = run("manage.py", *arguments, "--data-dir", str(tmp_path))

        assert done.returncode == status
        assert done.stdout == ""
        assert done.stderr != ""
