import asyncio
import subprocess
import sys
from contextvars import copy_context

import pytest

import taskservice
from taskservice import Execution, current_execution, examples, execution_context, task

EXECUTION = Execution(
    id="e1", task_id="t1", scheduled_time=None, attempt=1, triggered_by="schedule"
)


def test_task_returns_the_same_function_with_a_mark() -> None:
    def function() -> None: ...

    assert task(function) is function
    assert function.task_mark == taskservice.TaskMark()  # type: ignore[attr-defined]


def test_task_with_a_name_and_a_description() -> None:
    @task(name="Nice", description="Does nothing.")
    def function() -> None: ...

    assert function.task_mark == taskservice.TaskMark(  # type: ignore[attr-defined]
        name="Nice", description="Does nothing."
    )


def test_current_execution_outside_of_one_says_so() -> None:
    with pytest.raises(LookupError, match="was not called by taskservice"):
        current_execution()


async def test_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert examples.simple_task(message="hello") == "hello"
    assert examples.data_processing_task(data_id="d", process_type="daily") == {
        "data_id": "d",
        "process_type": "daily",
        "state": "processed",
    }
    context = copy_context()
    context.run(execution_context.set, EXECUTION)
    sent = context.run(examples.notification_task, user_id="u", message="m", channel="email")
    assert await asyncio.create_task(sent, context=context) == {
        "user_id": "u",
        "channel": "email",
        "state": "sent",
    }
    assert capsys.readouterr().out.splitlines() == [
        "simple_task says: hello",
        "to u by email: m (execution e1)",
    ]


def test_the_root_imports_nothing_of_the_package() -> None:
    code = "import sys, taskservice; print([n for n in sys.modules if n.startswith('taskservice')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['taskservice']"
