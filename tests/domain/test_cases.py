"""Plans for folders and tables that stand in files: `cases/NAME/{declared,stored,plan}.yaml`.

declared.yaml has the folder: `tasks` by id with `path`, `line` and `fields`, `faulty`,
`unreadable`, `readable`, `prune` if somebody confirmed, and `held`, what was held before.
stored.yaml has the rows by id, those of files with the seconds for which they have been missing.
plan.yaml has what is to be done.
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from taskservice.domain.overlay import Declaration, digest
from taskservice.domain.plan import (
    DeclaredTask,
    FolderDeclarations,
    Held,
    StoredDeclaration,
    make_plan,
)
from tests.domain.samples import NOW

CASES = Path(__file__).parent / "cases"


def read(case: str, part: str) -> dict[str, Any]:
    content = yaml.safe_load((CASES / case / f"{part}.yaml").read_text(encoding="utf-8"))
    return content or {}


def candidate(task: dict[str, Any]) -> DeclaredTask:
    place = {"path": "a.yaml", "line": 1, **task}
    declaration = Declaration(source="file", **place)
    return DeclaredTask(declaration=declaration, digest=digest(declaration.fields))


def declared(
    *,
    tasks: dict[str, Any],
    faulty: Sequence[str] = (),
    unreadable: Sequence[str] = (),
    readable: bool = True,
) -> FolderDeclarations:
    return FolderDeclarations(
        tasks={task_id: candidate(task) for task_id, task in tasks.items()},
        faulty=frozenset(faulty),
        unreadable=frozenset(unreadable),
        readable=readable,
    )


def stored(
    *,
    fields: dict[str, Any],
    source: str = "file",
    path: str | None = "a.yaml",
    line: int | None = 1,
    retired: bool = False,
    deleted: bool = False,
) -> StoredDeclaration:
    return StoredDeclaration(
        source=source,
        digest=digest(fields),
        path=path if source == "file" else None,
        line=line if source == "file" else None,
        retired_at=NOW - timedelta(hours=1) if retired else None,
        deleted=deleted,
    )


@pytest.mark.parametrize("case", sorted(folder.name for folder in CASES.iterdir()))
def test_the_plan_of_a_case(case: str) -> None:
    folder, rows, wanted = (read(case, part) for part in ("declared", "stored", "plan"))
    prune = folder.pop("prune", False)
    held = folder.pop("held", None)
    seconds = {task_id: task.pop("missing_for", None) for task_id, task in rows.items()}
    plan = make_plan(
        declared(**folder),
        {task_id: stored(**task) for task_id, task in rows.items()},
        missing={
            task_id: NOW - timedelta(seconds=since)
            for task_id, since in seconds.items()
            if since is not None
        },
        now=NOW,
        confirmed=rows.keys() if prune else frozenset(),
        held=held and Held(reason="as before", task_ids=tuple(held)),
    )
    shown = {
        "write": list(plan.write),
        "retire": list(plan.retire),
        "forget": list(plan.forget),
        "missing": {
            task_id: (NOW - since).total_seconds() for task_id, since in plan.missing.items()
        },
        "held": plan.held and {"reason": plan.held.reason, "task_ids": list(plan.held.task_ids)},
    }
    assert {name: value for name, value in shown.items() if value} == wanted
