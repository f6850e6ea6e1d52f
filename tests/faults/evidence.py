"""What the task functions themselves wrote down: read from their file, and from nowhere else."""

from dataclasses import dataclass
from pathlib import Path

SECOND = 1_000_000
"""All times of this folder's checker are whole microseconds since 1970, in UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One call of a function: when it began, and when it came to its end, if it did.

    `tick` and `end_tick` are the same moments by a clock that is never stepped. `pid` is the
    process that answers for it, a service or a worker, `child` the one that it ran in.
    """

    task_id: str
    fire: int | None
    attempt: int
    pid: int
    execution: str
    begin: int
    end: int | None = None
    tick: int
    end_tick: int | None = None
    child: int | None = None


def read_runs(path: Path) -> list[Run]:
    """The runs in the order of their beginning.

    A begin and an end belong together by execution and process; a second begin of the same
    execution is a run of its own.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    begun: list[list[str]] = []
    ended: dict[tuple[str, str], list[list[str]]] = {}
    for line in text.splitlines():
        fields = line.split("\t")
        if fields[4] == "begin":
            begun.append(fields)
        else:
            ended.setdefault((fields[6], fields[3]), []).append(fields)
    return [_run(fields, ended.get((fields[6], fields[3]), [])) for fields in begun]


def _run(fields: list[str], ends: list[list[str]]) -> Run:
    task_id, fire, attempt, pid, _, begin, execution, tick, *child = fields
    end = ends.pop(0) if ends else None
    return Run(
        task_id=task_id,
        fire=None if fire == "-" else int(fire),
        attempt=int(attempt),
        pid=int(pid),
        execution=execution,
        begin=int(begin),
        end=int(end[5]) if end else None,
        tick=int(tick),
        end_tick=int(end[7]) if end else None,
        child=int(child[0]) if child else None,
    )
