"""What a folder that is only told of would declare: the same as one that is there."""

from collections.abc import Mapping
from datetime import UTC
from pathlib import Path

from taskservice.domain.plan import StoredDeclaration
from taskservice.domain.task import Task, parse_task
from taskservice.sync.folder.declaring import declared_by
from taskservice.sync.folder.reading import Folder

ONE = (
    b"name: One\ntask_type: t\ntrigger_type: interval\ntrigger_args: {hours: 1}\nfunc_path: a.b.c\n"
)
SEVERAL = b"""\
defaults: {task_type: t, func_path: a.b.c, trigger_type: interval, trigger_args: {hours: 2}}
tasks:
  one: {name: Another}
  two: {name: Two}
  three: {name: 3}
"""
TEXTS = {"one.yaml": ONE, "more/several.yaml": SEVERAL, "broken.yaml": b"a: [\n"}


def check(task_id: str, fields: Mapping[str, object]) -> Task:
    return parse_task(fields, zone=UTC)


def test_it_is_what_a_scan_of_the_same_files_finds(tmp_path: Path) -> None:
    for name, text in TEXTS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text)
    scan = Folder(tmp_path, check).scan({}, by_content=True, clock=lambda: 2e10)
    told = declared_by(TEXTS, {}, check)
    assert told == scan.declared
    # In the order of paths, "more/several.yaml" comes first.
    assert {task_id: one.declaration.path for task_id, one in told.tasks.items()} == {
        "one": "more/several.yaml",
        "two": "more/several.yaml",
    }
    assert [(fault.path, fault.line) for fault in told.faults] == [
        ("broken.yaml", 2), ("more/several.yaml", 5), ("one.yaml", 1)
    ]  # fmt: skip


def test_an_id_in_two_files_stays_with_the_one_that_had_it() -> None:
    stored = {"one": StoredDeclaration(source="file", digest="", path="one.yaml", line=1)}
    told = declared_by(TEXTS, stored, check)
    assert told.tasks["one"].declaration.path == "one.yaml"
    assert "declared in one.yaml already" in str(told.faults[1])
