"""The brokers that the other tests stand on."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import amqp  # type: ignore[import-untyped]
import pytest

from tests.acceptance.process import wait_for
from tests.brokers import Broker, BrokerError, RabbitMQ, Redis

QUEUE = "test-brokers"


def test_what_was_sent_survives_a_kill(broker: Broker) -> None:
    send(broker)
    assert broker.waiting(QUEUE) == 1
    broker.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((broker.host, broker.port))
    broker.start()
    assert broker.waiting(QUEUE) == 1
    broker.delete(QUEUE)
    assert broker.waiting(QUEUE) == 0


def test_it_answers_nothing_while_it_is_frozen(broker: Broker) -> None:
    broker.freeze()
    # The system takes the connection in its place.
    with socket.create_connection((broker.host, broker.port)) as connection:
        connection.settimeout(0.3)
        connection.sendall(b"PING\r\n" if isinstance(broker, Redis) else b"AMQP\x00\x00\x09\x01")
        with pytest.raises(TimeoutError):
            connection.recv(1)
        broker.thaw()
        connection.settimeout(30)
        assert connection.recv(1)


def test_redis_goes_back_to_a_snapshot(redis: Redis) -> None:
    send(redis)
    snapshot = redis.snapshot()
    send(redis)
    assert redis.waiting(QUEUE) == 2
    redis.restore(snapshot)
    assert redis.waiting(QUEUE) == 1
    redis.delete(QUEUE)


@pytest.mark.parametrize("kind", [Redis, RabbitMQ])
def test_a_missing_server_is_an_error_that_says_what_to_install(
    kind: Callable[..., Broker], tmp_path: Path
) -> None:
    broker = kind(path=str(tmp_path))
    with pytest.raises(BrokerError, match="apt-get install"):
        broker.__enter__()
    assert not broker.folder.exists()


def test_it_ends_with_whoever_started_it() -> None:
    program = """
from tests.brokers import Redis
redis = Redis()
redis.start()
print(redis.pid, redis.folder, flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
    wait_for("it is gone", lambda: not Path(f"/proc/{pid}").exists())
    subprocess.run(["rm", "-r", folder], check=True)


def send(broker: Broker) -> None:
    """Put one message into the queue, to be kept."""
    if isinstance(broker, Redis):
        with broker.client() as client:
            client.rpush(QUEUE, "message")
        return
    assert isinstance(broker, RabbitMQ)
    with broker.client() as connection:
        channel = connection.channel()
        channel.confirm_select()
        channel.queue_declare(QUEUE, durable=True, auto_delete=False)
        channel.basic_publish_confirm(
            amqp.Message("message", delivery_mode=2), routing_key=QUEUE, mandatory=True
        )
