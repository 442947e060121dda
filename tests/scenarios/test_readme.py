"""README's way from nothing to moving values, typed as it stands there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.plants import ROOT, Plant, identity
from tests.scenarios.stations import Station
from tests.scenarios.waiting import eventually

#: What the reader has to replace, and the test replaces as well.
ADDRESSES = {"PLC1": "opc.tcp://10.0.0.5:4840", "DCS": "opc.tcp://10.0.0.9:4840"}
TAG = "T000001"


def steps() -> list[str]:
    """The lines of the block that begins by starting a station."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks: list[str] = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (block,) = [found for found in blocks if "manage.py station" in found]
    return [line for line in block.splitlines() if line]


class Reader:
    """Types lines into a shell, in a folder of its own, with what earlier lines have defined."""

    def __init__(self, folder: Path, station: Station) -> None:
        self._folder = folder
        self._station = station
        self._defined = ""

    def types(self, line: str) -> Any:
        if line.startswith(("export ", "post()")):
            self._defined += line + "\n"
            return None
        done = subprocess.run(
            ["bash", "-c", f"{self._defined}{line}"],
            cwd=self._folder,
            env=self._station.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return json.loads(done.stdout) if done.stdout else None


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl, which README uses")
def test_the_readme_leads_from_nothing_to_moving_values(make_station, make_plant, tmp_path):
    plants: dict[str, Plant] = {}
    for name in ADDRESSES:
        folder = tmp_path / name
        folder.mkdir()
        uri = f"urn:{name.lower()}"
        plants[name] = make_plant(
            policies="Basic256Sha256_SignAndEncrypt",
            application_uri=uri,
            **identity(folder, uri),
        )
    station = make_station(start=False)
    starting, token, *rest = steps()
    assert starting.split("#")[0].split() == ["python3", "manage.py", "station"]
    station.token = station.manage(*token.split("#")[0].split()[2:]).stdout.strip()
    station.start()

    reader = Reader(tmp_path, station)
    replaced = {
        "http://127.0.0.1:8000": station.url,
        "<token>": station.token,
        "s=T1": f"s={TAG}",
        **{address: plants[name].url for name, address in ADDRESSES.items()},
    }
    answers = {}
    for step in rest:
        line = step
        for placeholder, value in replaced.items():
            line = line.replace(placeholder, value)
        answer = answers[step] = reader.types(line)
        tested = re.match(r"post /servers/(\w+)/test", line)
        if tested:
            assert answer["ok"] is False
            thumbprint = re.search(r"[0-9A-F]{40}", answer["error"])
            assert thumbprint, answer
            replaced[f"<thumbprint of {tested[1]}>"] = thumbprint[0]
        assert answer is None or "code" not in answer, (line, answer)

    (browsed,) = [answer for step, answer in answers.items() if "/browse" in step]
    assert browsed["results"]
    plants["PLC1"].set_many({TAG: 42.5})
    eventually(lambda: plants["DCS"].values([TAG]) == {TAG: 42.5}, within=30)
    (item,) = reader.types(rest[-1])["results"]
    assert item["status"]["state"] == "good"
