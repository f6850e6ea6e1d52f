"""Every row of the table, by name, with what is asked of it and the parts that measure it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from benchmarks.bench import Part
from benchmarks.cases import fires, lateness
from benchmarks.report import Row, times_at_least, times_at_most, under

_KINDS = {"mariadb": "MariaDB", "sqlite": "SQLite"}
_TIMER = "APScheduler's memory store, no rows"
_BY_HAND = "by hand, an ORM session per execution"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Parts that are measured in turn, and the rows they make."""

    parts: Sequence[Part]
    rows: Sequence[Row]


CASES: tuple[Case, ...] = (
    Case(
        parts=fires.MARIADB,
        rows=[
            Row(
                name="fires-mariadb", title="fires a second kept up with, MariaDB", unit="/s",
                ours="ours.knee.mariadb", beside=_BY_HAND, peer="by_hand.knee.mariadb",
                least=times_at_least(10), aim=times_at_least(25),
            ),
        ],
    ),
    Case(
        parts=fires.SQLITE,
        rows=[
            Row(
                name="fires-sqlite", title="fires a second kept up with, SQLite", unit="/s",
                ours="ours.knee.sqlite", beside=_BY_HAND, peer="by_hand.knee.sqlite",
                least=times_at_least(40), aim=times_at_least(100),
            ),
        ],
    ),
    Case(
        parts=lateness.SPREAD,
        rows=[
            *(
                Row(
                    name=f"lateness-spread-{kind}",
                    title=f"p99 lateness, 1,000 fires a second spread over it, {shown}",
                    unit="ms", ours=f"ours.spread.{kind}", beside=_TIMER, peer="timer.spread",
                    least=under(0.05, "50 ms"), aim=times_at_most(3),
                )
                for kind, shown in _KINDS.items()
            ),
            *(
                Row(
                    name=f"cpu-{kind}", title=f"processor time a fire at 1,000 a second, {shown}",
                    unit="µs", ours=f"ours.cost.{kind}", beside=_TIMER, peer="timer.cost",
                    least=times_at_most(2), aim=times_at_most(1.2),
                )
                for kind, shown in _KINDS.items()
            ),
        ],
    ),
    *(
        Case(
            parts=lateness.instant(trigger),
            rows=[
                Row(
                    name=f"lateness-instant-{trigger}-{kind}",
                    title=f"p99 lateness, 1,000 due at one instant, {trigger}, {shown}",
                    unit="ms", ours=f"ours.instant.{trigger}.{kind}",
                    beside=_TIMER, peer=f"timer.instant.{trigger}",
                    least=times_at_most(3), aim=times_at_most(1.5),
                )
                for kind, shown in _KINDS.items()
            ],
        )
        for trigger in ("interval", "cron")
    ),
    Case(
        parts=lateness.API,
        rows=[
            Row(
                name="lateness-api",
                title="p99 lateness, 500 a second, API loaded by 16 connections, MariaDB",
                unit="ms", ours="ours.api.loaded", beside="API idle", peer="ours.api.idle",
                least=under(0.05, "50 ms"), aim=under(0.01, "10 ms"),
            ),
        ],
    ),
)  # fmt: skip


def names() -> list[str]:
    """The names of all rows."""
    return [row.name for case in CASES for row in case.rows]


def chosen(wanted: Iterable[str]) -> list[Case]:
    """The cases of the rows whose names match one of these, or begin with it; of none: all.

    Raises ValueError for a name that no row has.
    """
    patterns = list(wanted)
    for pattern in patterns:
        if not any(_matches(name, pattern) for name in names()):
            raise ValueError(f"no row {pattern!r}; there are {', '.join(names())}")
    cases = []
    for case in CASES:
        rows = [
            row for row in case.rows
            if not patterns or any(_matches(row.name, pattern) for pattern in patterns)
        ]  # fmt: skip
        if rows:
            cases.append(Case(parts=case.parts, rows=rows))
    return cases


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or name.startswith(f"{pattern}-")
