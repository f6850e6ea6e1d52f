"""Where placeholders stand in arguments, and which of them may be filled in."""

import time

import pytest

from taskservice.domain.errors import Fault
from taskservice.domain.placeholders import (
    DOLLAR,
    Placeholder,
    borrowed_faults,
    pieces,
    placeholder_faults,
    variables_of,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [""]),
        ("a", ["a"]),
        ("${A}", ["", Placeholder("A", None), ""]),
        ("a${A}b${_B:-c d}", ["a", Placeholder("A", None), "b", Placeholder("_B", "c d"), ""]),
        ("${A:-}", ["", Placeholder("A", ""), ""]),
        ("${A:-${B}}", ["", Placeholder("A", "${B"), "}"]),
        ("${A${B}", ["${A", Placeholder("B", None), ""]),
        ("${A:-${B:-", ["${A:-${B:-"]),
        ("${A} ${B:-", ["", Placeholder("A", None), " ${B:-"]),
        ("${} ${1} ${A B} ${A:b} $A $${é}", ["${} ${1} ${A B} ${A:b} $A $${é}"]),
        (f"{DOLLAR}{{A}}", ["", "$", "{A}"]),
        ("${DOLLAR}", ["", Placeholder("DOLLAR", None), ""]),
        ("${DOLLAR:-x}", ["", Placeholder("DOLLAR", "x"), ""]),
    ],
)  # fmt: skip
def test_a_text_in_pieces(text: str, found: list[object]) -> None:
    assert list(pieces(text)) == found


@pytest.mark.parametrize(
    "text", ["${A:-", "${A", "${", "$", "${A:", "A", "${A:-}", "${A:-${A:-}", "${A}"]
)
def test_a_long_text_takes_time_in_proportion(text: str) -> None:
    for end in ("", "}"):
        began = time.perf_counter()
        for _ in pieces(text * (500_000 // len(text)) + end):
            pass
        # A text that is read again from each `$` on takes minutes.
        assert time.perf_counter() - began < 5


def test_variables_with_the_arguments_that_they_stand_in() -> None:
    func_args = {
        "a": ["x", 1, None, {"${KEY}": "${A} ${B:-${C}"}],
        "b": {"c": "${B}${D}"},
        "e": "${DOLLAR:-$}{E}",
    }
    assert variables_of(func_args) == {"A": "a", "B": "a", "D": "b"}


def test_the_services_own_variables_are_at_fault_whatever_is_allowed() -> None:
    func_args = {
        "a": "${TASKSERVICE_API_TOKENS}",
        "b": ["${TASKSERVICE_:-x}"],
        "c": "${taskservice_a}",
    }
    for allowed in (("*",), ("TASKSERVICE_*", "*")):
        told = "is the service's own, and never filled in"
        assert placeholder_faults(func_args, allowed) == [
            Fault(field="func_args.a", reason=f"the variable TASKSERVICE_API_TOKENS {told}"),
            Fault(field="func_args.b", reason=f"the variable TASKSERVICE_ {told}"),
        ]  # fmt: skip


def test_only_what_is_allowed_is_no_fault() -> None:
    func_args = {"a": "${DB_HOST}", "b": "${HOME:-x}", "c": "${MAIL}", "e": "${DOLLAR:-$}"}
    assert placeholder_faults(func_args) == []
    [fault] = placeholder_faults(func_args, ("DB_*", "MAI?"))
    assert fault == Fault(
        field="func_args.b",
        reason="the variable HOME may not be filled in; TASKSERVICE_ENV_ALLOW allows DB_*, MAI?",
    )
    assert "allows none" in placeholder_faults({"a": "${X}"}, ())[0].reason


def test_a_run_may_use_the_variables_of_its_task_alone() -> None:
    own = {"a": "${ONE}", "b": ["${TWO:-x}"]}
    assert borrowed_faults({"c": "${TWO} ${ONE:-y}", "a": "text"}, own) == []
    assert borrowed_faults({"c": {"d": "${THREE}"}}, own) == [
        Fault(
            field="func_args.c",
            reason="a run by hand may use only the variables that the task's own arguments have: "
            "ONE, TWO, not THREE",
        )
    ]
    assert "have: none, not A" in borrowed_faults({"a": "${A}"}, {})[0].reason
    many = {"a": "".join(f"${{V{number:02}}}" for number in range(12))}
    assert "V08, V09 and 2 more, not A" in borrowed_faults({"b": "${A}"}, many)[0].reason


def test_what_is_told_has_an_end() -> None:
    many = {"a\n": "".join(f"${{{'V' * 1000}{number}}}" for number in range(1000))}
    for faults in (placeholder_faults(many, ()), borrowed_faults(many, {})):
        assert len(faults) == 21
        assert faults[-1].more == 980
        assert all(len(str(fault)) < 300 for fault in faults)
        assert {fault.field for fault in faults[:-1]} == {"func_args"}
