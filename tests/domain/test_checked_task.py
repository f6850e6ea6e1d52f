"""Faults of a task's fields and of its call, told together."""

from collections.abc import Mapping
from datetime import UTC

import pytest

from taskservice.domain.checked_task import checked_task
from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.placement import ANYWHERE
from tests.domain.samples import minimal, parsed


def faults(fields: Mapping[str, object]) -> list[str]:
    """The fields at fault, where every call is refused for its path and an argument."""

    def refuse(func_path: str, func_args: Mapping[str, object]) -> list[Fault]:
        reason = f"{func_path} of {sorted(func_args)}"
        return [Fault(field=name, reason=reason) for name in ("func_path", "func_args.x")]

    with pytest.raises(Invalid) as caught:
        checked_task(fields, zone=UTC, call_faults=refuse, placement=ANYWHERE)
    return [fault.field or "" for fault in caught.value.faults]


def test_a_call_is_judged_of_a_task_that_is_sound_in_itself() -> None:
    assert faults(minimal()) == ["func_path", "func_args.x"]
    assert faults(minimal(func_args=None)) == ["func_path", "func_args.x"]


def test_a_field_that_is_at_fault_in_itself_is_told_of_once() -> None:
    assert faults(minimal(func_path="", timeout=-1)) == ["func_path", "timeout", "func_args.x"]


def test_a_channel_that_there_is_none_of_is_a_fault_like_others() -> None:
    def sound(_path: str, _args: Mapping[str, object]) -> list[Fault]:
        return []

    with pytest.raises(Invalid) as caught:
        checked_task(
            minimal(notify="opps"), zone=UTC, call_faults=sound, placement=ANYWHERE,
            channels={"ops"},
        )  # fmt: skip
    assert [fault.field for fault in caught.value.faults] == ["notify"]
    checked_task(minimal(notify="opps"), zone=UTC, call_faults=sound, placement=ANYWHERE)


@pytest.mark.parametrize("wrong", [{"func_path": 7}, {"func_args": [1]}])
def test_what_can_be_no_call_is_not_judged_as_one(wrong: dict[str, object]) -> None:
    assert faults(minimal(**wrong)) == list(wrong)


def test_where_nothing_is_wrong_the_task_is_given() -> None:
    def allow(func_path: str, func_args: Mapping[str, object]) -> list[Fault]:
        return []

    given = checked_task(minimal(), zone=UTC, call_faults=allow, placement=ANYWHERE)
    assert given == parsed(minimal())
