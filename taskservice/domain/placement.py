"""Where the executions of a task run: in the service, or sent to a queue; and what forbids that."""

from dataclasses import dataclass

from taskservice.domain.errors import Fault
from taskservice.domain.task import Task

CELERY = "celery"
"""The executor whose executions are sent to queues."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What the settings say of it: the executor and the queue of tasks that name none.

    `longest` is how many seconds an execution on a worker may take by the broker's rules, None:
    as long as it takes; the story behind it is in `docs/scale.md`.
    """

    executor: str = "local"
    queue: str = "taskservice"
    has_broker: bool = False
    longest: float | None = None

    def queue_of(self, task: Task) -> str | None:
        """The queue that the executions of a task are sent to; None: they run in the service.

        Without a broker nothing is sent.
        """
        if not self.has_broker or self._executor(task) != CELERY:
            return None
        return task.queue or self.queue

    def faults(self, task: Task) -> list[Fault]:
        """Why the executions of a task can't run where it says."""
        if self._executor(task) != CELERY:
            return []
        if not self.has_broker:
            reason = "celery needs a broker: set TASKSERVICE_CELERY_BROKER"
            return [Fault(field="executor", reason=reason)]
        if self.longest and task.timeout and task.timeout > self.longest:
            reason = (
                f"is more than the {self.longest:g} s after which RabbitMQ takes a delivery back "
                "that nobody has acknowledged (its consumer_timeout)"
            )
            return [Fault(field="timeout", reason=reason)]
        return []

    def _executor(self, task: Task) -> str:
        return task.executor or self.executor


HERE = Placement()
"""What sends nothing."""

ANYWHERE = Placement(has_broker=True)
"""What forbids no task to run where it says."""
