"""Streaks of failures are told once, and their ends by the rule that told them."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from taskservice.domain.incidents import (
    QUIET,
    Alert,
    Seen,
    What,
    judge,
    limits,
    minds_success,
    recovers,
    remind,
)
from taskservice.domain.rules import NOTIFY, TOPICS, Rule, Topic
from tests.domain.samples import NOW

ALL = Rule(to="ops", on=TOPICS, late=5, long=60, short=1)


def seen(what: What, at: float = 0, seconds: float | None = None) -> Seen:
    return Seen(what=what, at=NOW + timedelta(seconds=at), seconds=seconds)


def run(rule: Rule, words: str, *, silent: str = "") -> tuple[list[str], Alert]:
    """What is told of a row of ends: `f`ailed, `c`ompleted; `silent` are the numbers silenced."""
    alert, told = QUIET, []
    for number, word in enumerate(words):
        what: What = "failed" if word == "f" else "completed"
        alert, topics = judge(
            rule, alert, seen(what, number, 100),
            incident=f"i{number}", silenced=str(number) in silent,
        )  # fmt: skip
        told += [f"{number} {topic}" for topic in topics]
    return told, alert


def test_a_streak_is_told_once() -> None:
    told, alert = run(Rule(to="ops"), "cfffcfc")
    assert told == ["1 failure", "4 recovery", "5 failure", "6 recovery"]
    assert alert == QUIET


def test_after_so_many_in_a_row() -> None:
    rule = Rule(to="ops", after=3)
    assert run(rule, "ffcffffc")[0] == ["5 failure", "7 recovery"]
    told, alert = run(rule, "fff")
    assert told == ["2 failure"]
    assert alert == Alert(failures=3, since=NOW, incident="i2")


def test_what_is_silenced_is_told_later_if_it_goes_on() -> None:
    assert run(Rule(to="ops"), "fffc", silent="01")[0] == ["2 failure", "3 recovery"]
    assert run(Rule(to="ops"), "fffc", silent="0123")[0] == []
    assert run(Rule(to="ops"), "fc", silent="1")[0] == ["0 failure"]


def test_only_what_a_rule_names_is_told() -> None:
    assert run(Rule(to="ops", on=("recovery",)), "ffc")[0] == ["2 recovery"]
    assert run(Rule(to="ops", on=("failure",)), "ffc")[0] == ["0 failure"]


def test_other_topics() -> None:
    cases: list[tuple[Seen, tuple[Topic, ...]]] = [
        (seen("missed"), ("missed",)),
        (seen("skipped"), ("skipped",)),
        (seen("late", seconds=5), ("late",)),
        (seen("late", seconds=6), ()),
        (seen("long", seconds=60), ("long",)),
        (seen("long", seconds=5), ()),
        (seen("completed", seconds=0.5), ("short",)),
        (seen("completed", seconds=1), ()),
        (seen("completed"), ()),
    ]
    for one, told in cases:
        assert judge(ALL, QUIET, one, incident="i", silenced=False) == (QUIET, told)
        assert judge(ALL, QUIET, one, incident="i", silenced=True) == (QUIET, ())


def test_reminders_go_on_for_as_long_as_it_fails() -> None:
    rule = Rule(to="ops", remind=60)
    _, alert = run(rule, "ff")
    minute = timedelta(seconds=60)
    assert alert.remind_at == NOW + minute
    later, told = remind(rule, alert, NOW + minute, quiet=False)
    assert told and later.remind_at == NOW + 2 * minute
    assert later.incident == alert.incident
    later, told = remind(rule, later, NOW + 2 * minute, quiet=True)
    assert not told and later.remind_at == NOW + 3 * minute
    # The rule was changed meanwhile.
    later, told = remind(Rule(to="ops"), later, NOW, quiet=False)
    assert not told and later.remind_at is None
    assert remind(rule, Alert(remind_at=NOW), NOW, quiet=False) == (QUIET, False)
    assert not remind(Rule(to="ops", on=("missed",), remind=60), alert, NOW, quiet=False)[1]


def test_what_recovers() -> None:
    assert recovers([Alert(failures=1), QUIET], seen("completed"))
    assert not recovers([Alert(failures=1)], seen("failed"))
    assert not recovers([QUIET], seen("completed"))


def test_what_is_looked_at() -> None:
    notify = NOTIFY.parse(
        [{"to": "a", "long": "1m", "late": 5}, {"to": "b", "long": 5}, {"to": "c"}]
    )
    assert limits(notify, "long") == {60, 5}
    assert limits(notify, "late") == {5}
    assert not minds_success(notify)
    assert minds_success(NOTIFY.parse([{"to": "a", "short": 5}]))


@given(st.text("fc", max_size=30), st.integers(1, 4))
def test_failures_and_recoveries_alternate(words: str, after: int) -> None:
    told, _ = run(Rule(to="ops", after=after), words)
    topics = [one.split()[1] for one in told]
    assert topics == (["failure", "recovery"] * len(topics))[: len(topics)]
    streaks = [len(one) for one in words.split("c")]
    assert topics.count("failure") == sum(length >= after for length in streaks)
