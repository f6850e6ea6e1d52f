"""Sound tasks and JSON values for the tests of the domain."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from taskservice.domain.task import Task, parse_task

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

MINIMAL: dict[str, Any] = {
    "name": "Morning",
    "task_type": "notification",
    "trigger_type": "interval",
    "trigger_args": {"seconds": 60},
    "func_path": "package.module.function",
}

# Some mean the same, though they are written in another way.
TRIGGERS: list[tuple[str, dict[str, Any]]] = [
    ("interval", {"seconds": 60}),
    ("interval", {"seconds": 60.0}),
    ("interval", {"hours": 1, "jitter": 5}),
    ("cron", {"hour": 9, "minute": 0}),
    ("cron", {"minute": "0", "hour": "9"}),
    ("cron", {"crontab": "0 9 * * 1-5", "timezone": "Europe/Berlin"}),
    ("date", {"run_date": "2030-01-01T00:00:00Z"}),
]

RETRIES: list[dict[str, Any] | None] = [
    None,
    {"max": 3},
    {"backoff": 1, "max": 3, "delay": 0.0, "max_delay": None},
    {"max": 3, "delay": 10, "backoff": 2, "max_delay": 600},
]


def minimal(**more: Any) -> dict[str, Any]:
    """The fields of a sound task, with more of them or others."""
    return {**MINIMAL, **more}


def parsed(fields: dict[str, Any]) -> Task:
    """The task that these fields make."""
    return parse_task(fields, zone=UTC)


def lists_and_mappings(
    leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Leaves, and what can be made of them."""
    return st.recursive(
        leaves,
        lambda below: st.lists(below, max_size=3) | st.dictionaries(keys, below, max_size=3),
        max_leaves=6,
    )


json_values = lists_and_mappings(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    st.text(max_size=5),
)

func_args = st.dictionaries(
    st.sampled_from(["user_id", "channel", "a.b", "", "func_args.a", "早"]), json_values, max_size=4
)

_words = st.text("ab 早", min_size=1, max_size=4).filter(str.strip)
_seconds = st.none() | st.sampled_from([0.5, 60, 60.0, 3600])


def _with_trigger(made: tuple[dict[str, Any], tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    fields, (kind, args) = made
    return {**fields, "trigger_type": kind, "trigger_args": args}


declared_fields: st.SearchStrategy[dict[str, Any]] = st.tuples(
    st.fixed_dictionaries(
        {"name": _words, "task_type": _words, "func_path": st.just("a.b") | st.just("a:b")},
        optional={
            "func_args": st.none() | func_args,
            "max_instances": st.integers(1, 3),
            "description": st.none() | st.text(max_size=3),
            "tags": st.none() | st.lists(st.sampled_from(["a", "b", "早"]), max_size=3),
            "paused": st.booleans(),
            "misfire_grace_time": _seconds,
            "coalesce": st.booleans(),
            "timeout": _seconds,
            "retries": st.sampled_from(RETRIES),
            "recover": st.booleans(),
            "executor": st.sampled_from([None, "local", "process"]),
        },
    ),
    st.sampled_from(TRIGGERS),
).map(_with_trigger)
"""The fields of sound tasks, written in many ways."""
