"""Bodies that tests send."""

from typing import Any

HOURLY: dict[str, Any] = {
    "name": "周期性任务",
    "task_type": "processing",
    "trigger_type": "interval",
    "trigger_args": {"hours": 1},
    "func_path": "taskservice.examples.data_processing_task",
    "func_args": {"data_id": "data123", "process_type": "hourly_update"},
    "description": "每小时处理一次数据",
}
"""A task that runs each hour, as the API takes it."""


def hourly(**fields: Any) -> dict[str, Any]:
    """The hourly task with other fields."""
    return {**HOURLY, **fields}


def fields_at_fault(answer: Any) -> list[str]:
    """The fields that a problem names."""
    return [error["field"] for error in answer.json()["errors"]]
