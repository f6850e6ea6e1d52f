"""Every row of the table, by name, with what is asked of it and the parts that measure it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from benchmarks import sending
from benchmarks.bench import Part
from benchmarks.cases import (
    api,
    celery,
    commands,
    fires,
    growth,
    lateness,
    memory,
    queued,
    save,
    start,
)
from benchmarks.report import Row, times_at_least, times_at_most, under

_KINDS = {"mariadb": "MariaDB", "sqlite": "SQLite"}
_TIMER = "APScheduler's memory store, no rows"
_LOADER = "by hand, file by file, safe_load, a session each"
_EVENT = "watchfiles' event alone, its defaults"
_FLASK = {
    "get": f"Flask-APScheduler in memory, {api.FLASK_JOBS:,} jobs",
    "page": f"Flask-APScheduler in memory, all its {api.FLASK_JOBS:,} jobs",
}
_PARSING = "yaml.safe_load of the files alone"
_BY_HAND = "by hand, an ORM session per execution"
_BROKERS = {"redis": "Redis", "rabbitmq": "RabbitMQ"}
_BEAT = "Celery's beat and a worker"


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
    *(
        Case(
            parts=celery.parts(peer),
            rows=[
                Row(
                    name=f"cpu-{peer}{suffix}", title=f"processor time a fire at {rate}, MariaDB",
                    unit="µs", ours=f"ours.{key}.{peer}", beside=beside, peer=f"{peer}.cost",
                    least=times_at_most(1 / 4), aim=times_at_most(1 / 10),
                )
                for suffix, key, rate in (
                    ("", "cost", f"{celery.RATES[peer]} a second, both"),
                    ("-busy", "busy", f"1,000 a second, {celery.RATES[peer]} there"),
                )
            ],
        )
        for peer, beside in (
            ("celery", "Celery beat and worker on Redis"),
            ("redbeat", "RedBeat and worker on Redis"),
        )
    ),
    *(
        Case(
            parts=queued.rates(broker),
            rows=[
                Row(
                    name=f"queued-rate-{broker}", unit="/s",
                    title=f"executions a second on a worker kept up with, {shown}, MariaDB",
                    ours=f"ours.queued.knee.{broker}", beside=_BEAT,
                    peer=f"beat.queued.knee.{broker}", least=times_at_least(1),
                ),
            ],
        )
        for broker, shown in _BROKERS.items()
    ),
    *(
        Case(
            parts=queued.calm(broker),
            rows=[
                *(
                    Row(
                        name=f"queued-{key}-{broker}", unit="ms",
                        title=f"{key} lateness, {queued.RATE} executions a second on a worker, "
                        f"{shown}, MariaDB",
                        ours=f"ours.queued.{key}.{broker}", beside=_BEAT,
                        peer=f"beat.queued.{key}.{broker}", least=least,
                    )
                    for key, least in (("p50", None), ("p99", times_at_most(1)))
                ),
                *(
                    Row(
                        name=f"queued-cpu-{key}-{broker}", unit="µs",
                        title=f"processor time an execution at {queued.RATE} a second, {what}, "
                        f"{shown}",
                        ours=f"ours.queued.{key}.{broker}", beside=beside,
                        peer=f"{side}.queued.{peer}.{broker}",
                    )
                    for key, what, side, peer, beside in (
                        ("scheduler", "of who schedules", "beat", "scheduler", "Celery's beat"),
                        ("workers", "of the worker", "beat", "workers", "Celery's worker"),
                        ("broker", "of the broker", "beat", "broker", _BEAT),
                        ("database", "of MariaDB for the rows", "ours", "all", "all of ours"),
                        ("all", "of all together", "beat", "all", f"{_BEAT}, without any row"),
                    )
                ),
            ],
        )
        for broker, shown in _BROKERS.items()
    ),
    *(
        Case(
            parts=queued.at_once(broker, workers, share),
            rows=[
                Row(
                    name=f"queued-{name}-{broker}", unit="/s",
                    title=f"executions a second, {shown_share} queued at once, {workers} worker "
                    f"processes of {sending.PLACES} places, {shown}, MariaDB",
                    ours=f"ours.queued.once.{workers}.{share}.{broker}",
                    beside="as many of Celery's, messages sent by a loop",
                    peer=f"beat.queued.once.{workers}.{share}.{broker}",
                ),
            ],
        )
        for broker, shown in _BROKERS.items()
        for name, workers, share, shown_share in (
            *((f"workers-{one}", one, 5, "a fifth of {tasks}") for one in queued.WORKERS),
            ("at-once", 2, 1, "{tasks}"),
        )
    ),
    Case(
        parts=start.PARTS,
        rows=[
            Row(
                name="start", title="start with {tasks} task files and an empty database, MariaDB",
                unit="s", ours="ours.start", beside=_LOADER, peer="loader.start",
                least=times_at_most(1 / 8), aim=under(4, "4 s"),
            ),
            Row(
                name="start-again", title="start again with nothing changed, MariaDB",
                unit="s", ours="ours.restart",
                beside="by hand into an empty database, as above", peer="loader.start",
                least=times_at_most(1 / 20), aim=under(2, "2 s"),
            ),
            Row(
                name="start-again-both", title="start again with nothing changed, both, MariaDB",
                unit="s", ours="ours.restart", beside="by hand, with nothing changed",
                peer="loader.restart",
            ),
        ],
    ),
    Case(
        parts=save.PARTS,
        rows=[
            Row(
                name="save-p50", unit="ms",
                title="p50, save of one of {tasks} files to its task firing as it says, MariaDB",
                ours="ours.save.p50", beside=_EVENT, peer="watching.save.p50",
            ),
            Row(
                name="save-p99", unit="ms",
                title="p99, the same",
                ours="ours.save.p99", beside=_EVENT, peer="watching.save.p99",
                least=under(0.2, "200 ms"), aim=under(0.05, "50 ms"),
            ),
        ],
    ),
    *(
        Case(
            parts=memory.parts(trigger),
            rows=[
                Row(
                    name=f"memory-{trigger}{suffix}",
                    title=f"memory a task, {{tasks}} of them, {trigger}, after {after}", unit="KiB",
                    ours=f"ours.memory.{trigger}{key}",
                    beside="APScheduler's job alone", peer=f"jobs.memory.{trigger}",
                    least=under(6 * 1024, "6 KiB"), aim=under(3 * 1024, "3 KiB"),
                )
                for suffix, key, after in (
                    ("", "", "a first start"), ("-again", ".restart", "a later one")
                )
            ],
        )
        for trigger in ("interval", "cron")
    ),
    Case(
        parts=api.PARTS,
        rows=[
            *(
                Row(
                    name=f"api-read-{kind}-{peer}", title=f"{shown}, {{tasks}} tasks, MariaDB",
                    unit="/s", ours=f"ours.{kind}", beside=beside, peer=f"{peer}.{kind}",
                    least=least, aim=aim,
                )
                for kind, shown in (("get", "GET of one task"), ("page", "GET of a page of 50"))
                for peer, beside, least, aim in (
                    ("orm", "a bare handler with the ORM", times_at_least(1.2), None),
                    ("memory", "a bare handler from memory", None, times_at_least(0.8)),
                    ("flask", _FLASK[kind], None, None),
                )
            ),
            *(
                Row(
                    name=f"api-write-{kind}", title=f"{kind.upper()}, durable, MariaDB",
                    unit="/s", ours=f"ours.{kind}", beside="a bare ORM insert", peer="orm.post",
                    least=times_at_least(0.5), aim=None,
                )
                for kind in ("post", "put")
            ),
        ],
    ),
    Case(
        parts=commands.PARTS,
        rows=[
            Row(
                name=f"commands-{name}", title=f"{title}, {{tasks}} new files", unit="s",
                ours=f"ours.{key}", beside=_PARSING, peer="safe_load.parse",
                least=under(limit, f"{limit} s"),
            )
            for name, key, title, limit in (
                ("validate", "validate", "`taskservice validate`", 10),
                ("plan", "plan", "`taskservice plan`, MariaDB", 15),
                ("plan-against", "plan.against", "`taskservice plan --against`", 15),
            )
        ],
    ),
    Case(
        parts=growth.PARTS,
        # Its figures make a table of their own.
        rows=[Row(name="growth", title="growth", unit="s", ours=f"{growth.PREFIX}all")],
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
            keys = [key for row in rows for key in (row.ours, row.peer) if key]
            parts = [part for part in case.parts if _gives(part, keys)]
            cases.append(Case(parts=parts, rows=rows))
    return cases


def _gives(part: Part, keys: list[str]) -> bool:
    return any(fnmatchcase(key, pattern) for key in keys for pattern in part.gives)


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or name.startswith(f"{pattern}-")
