"""Celery as the service and its workers have it: one task, which takes an execution's id.

What a message does is little: whoever gets it looks whether the row is still queued. So messages
that are lost, that come twice or late, or from somebody else who reaches the broker do no harm.
"""

from collections.abc import Mapping
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

EXECUTE = "taskservice.execute"
"""The name of the task."""

CONNECT_SECONDS = 4
"""How long a broker may take to be connected to."""

ANSWER_SECONDS = 5
"""How long a broker may take to answer whoever sends."""

HEARTBEAT_SECONDS = 10
"""How often a connection that lies idle is looked at, so that one that is dead is noticed."""


class QueueAsItIs(Queue):  # type: ignore[misc]
    """A queue that is taken as it is if there is one, be it a quorum queue or a classic one.

    RabbitMQ refuses to have a queue declared otherwise than it is.
    """

    def queue_declare(
        self, nowait: bool = False, passive: bool = False, channel: Any = None
    ) -> Any:
        """Declare the queue, unless there is one; returns what the broker says of it."""
        channel = channel or self.channel
        # RabbitMQ closes the channel on which a queue is missed.
        with channel.connection.channel() as probe:
            try:
                return probe.queue_declare(queue=self.name, passive=True)
            except channel.connection.channel_errors:
                pass
        return super().queue_declare(nowait=nowait, channel=channel)


def queue(name: str, *, is_amqp: bool) -> Queue:
    """A queue that outlives its broker's restart, of the exchange that needs no binding."""
    kind = QueueAsItIs if is_amqp else Queue
    return kind(name, Exchange(""), routing_key=name, durable=True)


def make_app(broker: str, *, is_amqp: bool, queue: str, sends: bool) -> Celery:
    """The application: to send, or to work; `queue` is the default one.

    Redis has a message acknowledged before it runs, and fetches none that no place is free for: it
    would be delivered again after an hour otherwise. RabbitMQ has it acknowledged after, one for
    each place: it delivers again at once what a worker died with.
    """
    app = Celery("taskservice", broker=broker, set_as_current=not sends)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_default_queue=queue,
        task_ignore_result=True,
        task_acks_late=is_amqp,
        task_reject_on_worker_lost=False,
        worker_prefetch_multiplier=1,
        # Restored by a thread of the pool, it may be waited for in another one, until RabbitMQ
        # closes the connection for the heartbeats that it misses.
        worker_enable_prefetch_count_reduction=False,
        worker_disable_prefetch=not is_amqp,
        worker_pool="taskservice.engine.celery.pool:WakingPool",
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_timeout=CONNECT_SECONDS,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # RabbitMQ closes the channel on which an execution of hours is not acknowledged.
        broker_channel_error_retry=True,
        broker_heartbeat=HEARTBEAT_SECONDS if is_amqp else 0,
        broker_transport_options=_transport(is_amqp, sends),
    )
    return app


def _transport(is_amqp: bool, sends: bool) -> Mapping[str, Any]:
    if is_amqp:
        # The client's own waits have no end.
        waits = {"read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS} if sends else {}
        return {"confirm_publish": True, **waits}
    return {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
        "socket_keepalive": True,
        "retry_on_timeout": False,
        "health_check_interval": HEARTBEAT_SECONDS,
    }
