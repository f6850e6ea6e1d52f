"""Sending executions to Celery's queues: what is known to have gone out, and what is not.

The client's waits have no end that can be relied on. So one thread speaks to the broker, whoever
asks it waits for a bounded time, and a thread that hangs beyond it is given up with its connection.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, Literal, TypeVar

from taskservice.engine.celery.app import ANSWER_SECONDS, CONNECT_SECONDS, EXECUTE, make_app
from taskservice.engine.executor import RemoteExecutor

T = TypeVar("T")

UNSENT_SECONDS = 10.0
"""For how long it is tried to send a message."""

PATIENCE_SECONDS = CONNECT_SECONDS + ANSWER_SECONDS
"""How long the broker has for what it is asked, a batch of messages too."""

AGAIN_SECONDS = 1.0
"""How long it is waited before a broker that is away is tried again."""

CLOSE_SECONDS = 3.0
"""How long a stop waits for what is to be sent."""

MOST = 200
"""How many messages are a batch."""

MOST_HANGING = 4
"""How many threads may hang in the client at a time: no more are begun then."""


class BrokerAway(Exception):
    """The broker does not answer, or refuses; its text says how, in one line."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Message:
    """An execution to be sent; `maybe_sent` from the moment on at which it is handed over."""

    execution_id: str
    queue: str
    unsent: Callable[[str], None] | None
    since: float
    maybe_sent: bool = False
    sent: bool = False


class _Broker:
    """A connection to the broker, used by one thread; begun anew after every error."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._connection: Any = None
        self._channel: Any = None
        self._producer: Any = None

    def length(self, queue: str) -> int:
        """How many messages wait in a queue, which is made if there is none."""
        connection = self._connected()
        try:
            return int(self._channel.queue_declare(queue=queue, passive=True).message_count)
        except connection.channel_errors:
            # RabbitMQ closes the channel on which a queue is missed.
            self._channel = connection.channel()
            self._channel.queue_declare(
                queue=queue, durable=True, exclusive=False, auto_delete=False
            )
            return 0

    def publish(self, message: _Message) -> None:
        """Send a message; with RabbitMQ it is told that it has it."""
        made = self._app.amqp.as_task_v2(
            message.execution_id, EXECUTE, args=(message.execution_id,), ignore_result=True
        )
        self._producer.publish(
            made.body, exchange="", routing_key=message.queue, serializer="json",
            headers=made.headers, retry=False, **made.properties,
        )  # fmt: skip

    def ping(self) -> None:
        """Find out whether the broker answers."""
        if self._connection is None:
            self._connected()
        else:
            self.length(self._app.conf.task_default_queue)

    def drop(self) -> None:
        """Give the connection up, whatever state it is in."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.collect(socket_timeout=0.1)

    def _connected(self) -> Any:
        if self._connection is None:
            connection = self._app.connection_for_write()
            connection.connect()
            self._connection = connection
            self._channel = connection.channel()
            self._producer = self._app.amqp.Producer(connection.channel(), auto_declare=False)
        return self._connection


class _Line:
    """A thread that does one thing after another with a broker."""

    def __init__(self, broker: _Broker) -> None:
        self.abandoned = False
        self._broker = broker
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="taskservice-broker", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def do(self, work: Callable[[_Broker], T]) -> "asyncio.Future[T]":
        """Have some work done; the answer comes on the event loop that asks."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def answered(result: T | None, error: BaseException | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type]

        def step() -> None:
            result, error = None, None
            try:
                result = work(self._broker)
            except Exception as raised:
                error = raised
                self._broker.drop()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(answered, result, error)

        self._work.put(step)
        return answer

    def leave(self) -> None:
        """End the thread, once it comes back."""
        self.abandoned = True
        self._work.put(None)

    def _run(self) -> None:
        while step := self._work.get():
            step()
        self._broker.drop()


class CeleryExecutor(RemoteExecutor):
    """Sends executions to Celery's queues; see `RemoteExecutor`."""

    finds_functions: Literal[True] = True
    survives: Literal[True] = True

    def __init__(
        self,
        broker: str,
        *,
        is_amqp: bool,
        queue: str,
        unsent_seconds: float = UNSENT_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._away: str | None = None
        self._make = partial(make_app, broker, is_amqp=is_amqp, queue=queue, sends=True)
        self._app: Any = None
        self._unsent_seconds = unsent_seconds
        self._patience_seconds = patience_seconds
        self._pending: deque[_Message] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._line: _Line | None = None
        self._hanging: list[_Line] = []
        self._turn = asyncio.Lock()
        self._closed = False

    @property
    def away(self) -> str | None:
        """While the broker can't be reached, how that shows."""
        return self._away

    @property
    def waiting(self) -> int:
        """How many executions wait to be sent."""
        return len(self._pending)

    def send(
        self, execution_id: str, queue: str, unsent: Callable[[str], None] | None = None
    ) -> None:
        """Have an execution sent, as `RemoteExecutor.send` has it."""
        if self._closed:
            return  # whoever schedules next sends it
        now = asyncio.get_running_loop().time()
        self._pending.append(
            _Message(execution_id=execution_id, queue=queue, unsent=unsent, since=now)
        )
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all())

    async def lengths(self, queues: Sequence[str]) -> Mapping[str, int] | None:
        """How many messages wait in each of these queues; None where the broker is away."""

        def work(broker: _Broker) -> dict[str, int]:
            return {queue: broker.length(queue) for queue in queues}

        try:
            return await self._ask(work)
        except BrokerAway:
            return None

    async def check(self) -> None:
        """Find out whether the broker is away."""
        with contextlib.suppress(BrokerAway):
            await self._ask(_Broker.ping)

    async def close(self) -> None:
        """Send what waits, within seconds, and no more."""
        self._closed = True
        if self._sending:
            await asyncio.wait({self._sending}, timeout=CLOSE_SECONDS)
            self._sending.cancel()
        if self._line:
            self._line.leave()

    async def _send_all(self) -> None:
        while self._pending:
            batch = [self._pending.popleft() for _ in range(min(MOST, len(self._pending)))]
            try:
                await self._ask(partial(self._publish, batch))
            except BrokerAway:
                self._pending.extendleft(reversed([one for one in batch if not one.sent]))
                self._give_up_late()
                await asyncio.sleep(AGAIN_SECONDS)

    def _publish(self, batch: Sequence[_Message], broker: _Broker) -> None:
        line = self._line
        # Until this has an answer nothing was sent, for sure.
        for queue in {message.queue for message in batch}:
            broker.length(queue)
        for message in batch:
            if line is None or line.abandoned:
                return
            message.maybe_sent = True
            broker.publish(message)
            message.sent = True

    def _give_up_late(self) -> None:
        """Tell of what was not sent in time; of what may have been, whoever schedules thinks."""
        before = asyncio.get_running_loop().time() - self._unsent_seconds
        late = [message for message in self._pending if message.since < before]
        self._pending = deque(message for message in self._pending if message.since >= before)
        for message in late:
            if message.unsent and not message.maybe_sent:
                message.unsent(f"the broker could not be reached: {self.away}")

    async def _ask(self, work: Callable[[_Broker], T]) -> T:
        """Have the thread do something; raises `BrokerAway`, after a while at the latest."""
        async with self._turn:
            try:
                line = self._line = self._line or self._new_line()
                answer = line.do(work)
                async with asyncio.timeout(self._patience_seconds):
                    result = await answer
            except TimeoutError:
                self._abandon()
                self._away = "it does not answer"
            except BrokerAway as away:
                self._away = str(away)
            except Exception as error:
                self._away = _in_words(error)
            else:
                self._away = None
                return result
        raise BrokerAway(self._away)

    def _new_line(self) -> _Line:
        self._hanging = [line for line in self._hanging if line.is_alive]
        if len(self._hanging) >= MOST_HANGING:
            raise BrokerAway("it does not answer")
        # Celery is made where it is used first: its import takes a while.
        self._app = self._app or self._make()
        return _Line(_Broker(self._app))

    def _abandon(self) -> None:
        if self._line:
            self._line.leave()
            self._hanging.append(self._line)
            self._line = None


def _in_words(error: Exception) -> str:
    text = " ".join(str(error).split())[:200].rstrip(".")
    return text or type(error).__name__
