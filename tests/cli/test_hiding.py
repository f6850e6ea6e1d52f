"""The service's own variables leave its environment; elsewhere than on Linux as far as they can."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from taskservice.cli.hiding import hide_variables

PROGRAM = """
import os, posix
from pathlib import Path
from taskservice.cli.hiding import hide_variables
hide_variables()
print([name for name in os.environ if "SERVICE" in name])
print([name for name in posix.environ if b"SERVICE" in name])
print([one for one in Path("/proc/self/environ").read_text().split(chr(0)) if "SERVICE" in one])
"""


def test_a_process_hides_its_variables() -> None:
    environ = {
        "TASKSERVICE_A": "first",
        "OTHER_SERVICE": "TASKSERVICE_B=kept",
        "TASKSERVICE_C": "",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "['OTHER_SERVICE']",
        "[b'OTHER_SERVICE']",
        "['OTHER_SERVICE=TASKSERVICE_B=kept']",
    ]


@pytest.mark.parametrize("stat", [None, "1 (a) b) R 1", "1 (a) R" + " 0" * 50])
def test_where_the_block_can_not_be_found(
    stat: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "environ").write_bytes(b"TASKSERVICE_A=1\0")
    if stat:
        (tmp_path / "stat").write_text(stat)
    monkeypatch.setenv("TASKSERVICE_A", "1")
    hide_variables(tmp_path)
    assert "TASKSERVICE_A" not in os.environ
