"""Regular expressions of engineers, run where they can be stopped.

A pattern such as ``(a+)+b`` can keep a processor busy for years, and a thread that runs one cannot
be stopped: neither by another thread nor by a time-out. So it runs in a process of its own, which
gets the texts on stdin and so much time and memory; it loads the core alone, in 30 ms.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from pipes.core.problems import FieldError
from pipes.core.renaming import LONGEST_PATTERN
from pipes.refusals import Invalid

SECONDS: Final = 4
MEGABYTES: Final = 512
_ROOT: Final = Path(__file__).resolve().parent.parent
_CODE: Final = """
import json, resource, sys
seconds, megabytes = int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
sys.path.insert(0, sys.argv[1])
from pipes.core.renaming import RuleError, rename_all
asked = json.load(sys.stdin)
try:
    answer = {"texts": rename_all(asked["pattern"], asked["replace"], asked["texts"])}
except RuleError as error:
    answer = {"field": error.field, "message": error.message}
json.dump(answer, sys.stdout)
"""


class _Answer(msgspec.Struct):
    texts: list[str | None] = []
    field: str = ""
    message: str = ""


def rename(pattern: str, replace: str, texts: Sequence[str]) -> list[str | None]:
    """As `pipes.core.renaming.rename_all`, within 4 seconds.

    Raises:
        Invalid: pattern or replacement is wrong, or they need too much time or memory.
    """
    for field, text in (("pattern", pattern), ("replace", replace)):
        if len(text) > LONGEST_PATTERN:
            message = f"must have at most {LONGEST_PATTERN} characters"
            raise Invalid([FieldError(field, message, text)])
    asked = msgspec.json.encode({"pattern": pattern, "replace": replace, "texts": list(texts)})
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _CODE, str(_ROOT), str(SECONDS), str(MEGABYTES)],
            input=asked,
            capture_output=True,
            timeout=2 * SECONDS,  # of a busy machine; the process's own time ends it before
            check=True,
        )
        answer = msgspec.json.decode(done.stdout, type=_Answer)
    except (subprocess.SubprocessError, OSError, msgspec.MsgspecError) as error:
        message = (
            f"takes more than {SECONDS} s or {MEGABYTES} MB for {len(texts)} names;"
            " repeat less inside of what is repeated, or map a folder further down"
        )
        raise Invalid([FieldError("pattern", message, pattern)]) from error
    if answer.field:
        shown = pattern if answer.field == "pattern" else replace
        raise Invalid([FieldError(answer.field, answer.message, shown)])
    return answer.texts
