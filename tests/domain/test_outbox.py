"""What is sent when: no minute has more than three messages, and nothing waits for ever."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from taskservice.domain.outbox import GIVEN_UP, MINUTE, MOST, Choice, choose, wait_after
from tests.domain.samples import NOW


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_two_are_sent_at_once_and_the_others_wait_for_the_third() -> None:
    assert choose(again=[], fresh=["a", "b", "c", "d"], held=[], tried={}, now=NOW) == Choice(
        send=("a", "b"), hold=("c", "d"), until=after(60)
    )
    tried = {"a": NOW, "b": after(1)}
    assert choose(again=[], fresh=["e"], held=[], tried=tried, now=after(30)) == Choice(
        hold=("e",), until=after(60)
    )
    assert choose(again=[], fresh=["f"], held=["c", "d"], tried=tried, now=after(60)) == Choice(
        gather=("c", "d", "f")
    )


def test_one_that_waited_alone_is_sent_as_it_is() -> None:
    tried = {"a": NOW, "b": after(1)}
    assert choose(again=[], fresh=[], held=["c"], tried=tried, now=after(60)).send == ("c",)


def test_what_is_sent_again_comes_first_and_counts() -> None:
    tried = {"a": after(-10), "b": after(-5)}
    assert choose(again=["a"], fresh=["c"], held=[], tried=tried, now=NOW) == Choice(
        send=("a",), hold=("c",), until=after(55)
    )
    tried = {"a": after(-10), "b": after(-5), "c": after(-1)}
    assert choose(again=["d", "a"], fresh=[], held=["e"], tried=tried, now=NOW) == Choice(
        send=("a",), hold=("d", "e"), until=after(55)
    )


def test_the_times_between_attempts_double_up_to_an_hour_for_a_day() -> None:
    waits: list[float] = []
    while (wait := wait_after(len(waits) + 1)) is not None:
        waits.append(wait)
    assert waits[:4] == [10, 20, 40, 80]
    assert waits[-1] == 3600
    assert GIVEN_UP - 3600 < sum(waits) <= GIVEN_UP
    assert wait_after(10_000) is None


@given(st.lists(st.integers(0, 30), max_size=40), st.sets(st.integers(0, 39)))
def test_no_minute_has_more_than_three_and_all_is_told(gaps: list[int], bad: set[int]) -> None:
    """A channel over time: messages come, some are not taken at first, and all arrive."""
    clock, come = 0.0, []
    for gap in gaps:
        clock += gap
        come.append(clock)
    due = {f"m{number}": at for number, at in enumerate(come)}
    born = dict(due)
    attempts: dict[str, int] = {}
    tried: list[tuple[float, str]] = []
    told: set[str] = set()
    into: dict[str, tuple[str, ...]] = {}
    for step in range(10_000):
        if not due:
            break
        now = min(due.values())
        ready = sorted(key for key, at in due.items() if at <= now)
        lately = {key: after(at) for at, key in tried if at > now - 60}
        choice = choose(
            again=[key for key in ready if key in attempts],
            fresh=[key for key in ready if key not in attempts and due[key] == born[key]],
            held=[key for key in ready if key not in attempts and due[key] != born[key]],
            tried=lately,
            now=after(now),
        )
        for key in choice.hold:
            assert choice.until is not None
            due[key] = (choice.until - NOW).total_seconds()
            assert due[key] > now
        send = list(choice.send)
        if choice.gather:
            into[f"g{step}"] = choice.gather
            send.append(f"g{step}")
            for key in choice.gather:
                del due[key]
        for key in send:
            attempts[key] = attempts.get(key, 0) + 1
            tried.append((now, key))
            if key[1:].isdecimal() and int(key[1:]) in bad and attempts[key] < 3:
                wait = wait_after(attempts[key])
                assert wait is not None
                due[key] = now + wait
            else:
                due.pop(key, None)
                told.update(into.get(key, (key,)))
    assert told == born.keys()
    for at, _ in tried:
        within = {key for when, key in tried if at <= when < at + MINUTE.total_seconds()}
        assert len(within) <= MOST
