"""How long a table of 30,000 items takes: plan, apply, and what a workbook costs above a CSV.

Each round is a process of its own with a fresh data folder and database, as a station's web process
would do it; of the rounds the median counts. The workbook is written by the product's export, so
plan and apply see the same cells by both ways.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

from benchmarks.report import Demand, Options, Report, bench

ROWS = 30_000
ROOT = Path(__file__).resolve().parents[1]
HEADING = (
    "pipe,source_node,target_node,direction,enabled,deadband.type,deadband.value,"
    "transform.kind,transform.gain,transform.offset,note"
)


def table() -> bytes:
    """A CSV as an engineer makes it: areas, units, a deadband here and a transform there."""
    lines = [HEADING]
    for index in range(ROWS):
        name = f"Area{index // 3000:02}.Unit{index // 100 % 30:02}.T{index:06}.PV"
        deadband = "absolute,0.5" if index % 7 == 0 else "none,0"
        transform = f"linear,0.{index % 9 + 1},-40" if index % 5 == 0 else "none,,"
        lines.append(
            f"P{index % 4},nsu=urn:plant:a;s={name},nsu=urn:plant:b;s={name},"
            f"forward,true,{deadband},{transform},tag {index}"
        )
    return "\r\n".join(lines).encode()


@bench("import-30k", rounds_in_all=2)
def import_30k(options: Options) -> Report:
    """Demands: plan and apply of a CSV, and the reading of a workbook above that of a CSV."""
    rounds = [_round() for _ in range(options.rounds)]
    took, processor = (
        {name: median(taken[kind][name] for taken in rounds) for name in rounds[0][kind]}
        for kind in ("elapsed", "processor")
    )
    extra = took["plan, xlsx"] - took["plan, csv of all columns"]
    return Report(
        "import-30k",
        "s",
        {"mirrorsite": took, "its CPU": processor},
        demands=(
            Demand.at_most("plan of a CSV", 1.5, took["plan, csv"]),
            Demand.at_most("apply of a CSV", 8.0, took["apply, csv"]),
            Demand.at_most("reading a workbook above a CSV", 2.5, extra),
            Demand.at_most("plan of the same again", 1.5, took["plan of the same, csv"]),
        ),
    )


def _round() -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory(prefix="mirrorsite-bench-") as folder:
        environment = {
            **{key: text for key, text in os.environ.items() if not key.startswith("MIRRORSITE_")},
            "MIRRORSITE_DATA_DIR": f"{folder}/data",
            "MIRRORSITE_RUN_DIR": f"{folder}/run",
            "DJANGO_SETTINGS_MODULE": "mirrorsite.settings",
        }
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.imports"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    taken: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return taken


class _Stopwatch:
    def __init__(self) -> None:
        self.elapsed: dict[str, float] = {}
        self.processor: dict[str, float] = {}

    def take(self, name: str, step: Callable[[], Any]) -> Any:
        """Run ``step`` and keep the seconds that it took, of the clock and of the processor."""
        began, busy = perf_counter(), process_time()
        result = step()
        self.elapsed[name] = perf_counter() - began
        self.processor[name] = process_time() - busy
        return result


def measure() -> dict[str, dict[str, float]]:
    """One round, in a process whose settings name a fresh data folder."""
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from mirrorsite.env import make_folders
    from pipes import imports, services

    make_folders(settings.STATION)
    call_command("migrate", verbosity=0, interactive=False)
    services.apply_document(_frame(), user="bench", reason="frame")
    content = table()
    imports.plan_import(content, "csv")  # the first of a process reads code from the disk
    watch = _Stopwatch()
    plan = watch.take("plan, csv", lambda: imports.plan_import(content, "csv"))
    _expect(plan.counts, add=ROWS)
    plan = watch.take(
        "apply, csv",
        lambda: imports.apply_import(content, "csv", user="bench", reason="import"),
    )
    _expect(plan.counts, add=ROWS)
    plan = watch.take("plan of the same, csv", lambda: imports.plan_import(content, "csv"))
    _expect(plan.counts, same=ROWS)
    text = watch.take("export, csv", lambda: imports.export_items("csv"))
    book = watch.take("export, xlsx", lambda: imports.export_items("xlsx"))
    plan = watch.take("plan, csv of all columns", lambda: imports.plan_import(text, "csv"))
    _expect(plan.counts, same=ROWS)
    plan = watch.take("plan, xlsx", lambda: imports.plan_import(book, "xlsx"))
    _expect(plan.counts, same=ROWS)
    return {"elapsed": watch.elapsed, "processor": watch.processor}


def _frame() -> dict[str, Any]:
    servers = [
        {
            "name": name,
            "endpoint": f"opc.tcp://127.0.0.1:{port}",
            "security_policy": "None",
            "security_mode": "None",
        }
        for name, port in (("A", 4840), ("B", 4841))
    ]
    pipes = [{"name": f"P{index}", "source": "A", "target": "B"} for index in range(4)]
    return {"format": "mirrorsite", "version": 1, "servers": servers, "pipes": pipes, "items": []}


def _expect(counts: Any, **wanted: int) -> None:
    found = {name: count for name, count in counts.items() if count}
    if found != wanted:
        raise SystemExit(f"the plan is {found}, not {wanted}: nothing was measured")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure()) + "\n")
