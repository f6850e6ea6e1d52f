"""The shape in which everything that is wrong is told."""

import pytest

from taskservice.domain import errors
from taskservice.domain.errors import Fault, Invalid, TaskserviceError


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault(reason="is empty"), "is empty"),
        (Fault(reason="is empty", field="name"), "name: is empty"),
        (Fault(reason="is empty", task_id="a"), "is empty"),
        (Fault(reason="is empty", path="a.yaml"), "a.yaml: is empty"),
        (
            Fault(reason="is empty", field="name", path="a.yaml", line=3, column=7),
            "a.yaml:3:7: name: is empty",
        ),
    ],
)
def test_a_fault_is_one_line(fault: Fault, text: str) -> None:
    assert str(fault) == text


def test_what_is_invalid_has_every_fault() -> None:
    faults = [Fault(reason="is empty", field="name"), Fault(reason="is not JSON")]
    invalid = Invalid(faults)
    assert invalid.faults == tuple(faults)
    assert str(invalid) == "name: is empty; is not JSON"


def test_every_error_for_a_person_has_the_same_base() -> None:
    found = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert {kind.__name__ for kind in found if kind.__base__ is TaskserviceError} == {
        *("Invalid", "Malformed", "NotFound", "Conflict", "PreconditionFailed"),
        *("Unauthenticated", "Forbidden", "TooManyRequests", "Unavailable", "StartError"),
    }
    assert all(issubclass(kind, TaskserviceError) for kind in found)


def test_who_asks_too_often_is_told_when_to_ask_again() -> None:
    assert errors.TooManyRequests("busy", retry_after=5).retry_after == 5


def test_a_fault_may_be_only_for_now() -> None:
    assert errors.is_pending([errors.Fault(reason="x"), errors.Pending(reason="y")])
    assert not errors.is_pending([errors.Fault(reason="x")])


def test_a_task_that_is_not_to_be_seen_is_none() -> None:
    assert str(errors.no_task("x" * 1000)) == f"no task {'x' * 100!r}"
    assert str(errors.out_of_sight(["a", "b"])) == (
        "the task must bear one of the tags of this token: a, b"
    )
