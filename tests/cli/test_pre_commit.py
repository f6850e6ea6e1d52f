"""The hook definition, driven as pre-commit drives it: entry, arguments, then file names."""

import re
import shlex
from pathlib import Path
from typing import Any

import yaml

from taskservice.sync.folder.listing import list_files
from tests.commands import result
from tests.test_cli import CHECKOUT

NEEDED = {"id", "name", "entry", "language"}
KNOWN = NEEDED | {"args", "description", "exclude", "files", "require_serial"}


def hook() -> dict[str, Any]:
    """The only hook there is."""
    (found,) = yaml.safe_load((CHECKOUT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    return dict(found)


def run_hook(folder: Path, args: list[str], names: list[str]) -> tuple[int, str, str]:
    """What pre-commit runs when these files are in a commit."""
    program, *entry = shlex.split(hook()["entry"])
    assert program == "taskservice"
    return result(folder, *entry, *args, *filter(is_meant, names))


def is_meant(name: str) -> bool:
    found = hook()
    return bool(re.search(found["files"], name)) and not re.search(found["exclude"], name)


def test_the_definition_is_sound() -> None:
    found = hook()
    assert NEEDED <= found.keys() <= KNOWN
    assert (found["id"], found["language"]) == ("taskservice-validate", "python")
    assert all(isinstance(argument, str) for argument in found["args"])


def test_it_means_the_files_that_the_service_takes(tmp_path: Path) -> None:
    names = [
        "a.yaml", "b.yml", "below/c.yaml", ".pre-commit-config.yaml", "_draft.yaml",
        ".github/workflows/ci.yml", "below/_x/d.yaml", "notes.txt", "a.yaml~", "e.yamlx",
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert set(filter(is_meant, names)) == set(list_files(str(tmp_path)).files)


def test_the_entry_runs_with_the_files_of_a_commit() -> None:
    names = [str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "tasks.d").iterdir()]
    status, output, errors = run_hook(CHECKOUT, hook()["args"], [*names, "README.md"])
    assert (status, output, errors) == (0, "", "6 tasks in 5 files: no faults\n")


def test_a_fault_stops_the_commit(tmp_path: Path) -> None:
    (tmp_path / "tasks.d").mkdir()
    (tmp_path / "tasks.d" / "a.yaml").write_text(
        "name: a\ntask_type: t\ntrigger_type: interval\ntrigger_args: {hours: x}\n"
        "func_path: not_installed_here.run\n"
    )
    args = ["--no-import", "--functions", "not_installed_here.*"]
    status, output, _ = run_hook(tmp_path, args, ["tasks.d/a.yaml"])
    assert (status, output) == (
        1,
        "tasks.d/a.yaml:4:16: trigger_args.hours: 'x' is text; a number, without quotes, is "
        "expected\n",
    )
