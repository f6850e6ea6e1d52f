"""One attempt: webhooks against a receiver that misbehaves, and Apprise against a real one."""

import asyncio
import ipaddress
import logging
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from taskservice.service import Service
from taskservice.service.notify.addresses import NotAllowed, addresses_of, is_public
from taskservice.service.notify.rules import rules_in_service, rules_on_worker
from taskservice.service.notify.sending import Sender
from taskservice.service.notify.threads import NoThread, Threads
from taskservice.service.notify.words import Place
from taskservice.settings import Channel, Settings, SettingsError
from taskservice.storage.messages import Message
from taskservice.storage.rows import new_id
from tests.domain.samples import minimal, parsed
from tests.service.notify.conftest import channel_to
from tests.service.notify.receiver import Received, Receiver, receiving, status


def message(channel: str = "ops", **more: Any) -> Message:
    given: dict[str, Any] = {
        "id": new_id(), "channel": channel, "kind": "test", "subject": "s", "body": "b",
        "data": {}, "created_at": datetime.now(UTC), **more,
    }  # fmt: skip
    return Message(**given)


def sender(*channels: Channel, seconds: float = 5) -> Sender:
    """What sends to these channels; it is asked for attempts alone, and needs no database."""
    nothing: Any = None
    return Sender(
        nothing, nothing, {one.name: one for one in channels},
        secret="", place=Place(zone=UTC, url=""), attempt_seconds=seconds,
    )  # fmt: skip


BAD: dict[str, tuple[Callable[[Received], bytes | None], str]] = {
    "redirect": (lambda _: status(302, "Found", "Location: /elsewhere"), "302"),
    "error": (lambda _: status(500), "500"),
    "hangs": (lambda _: None, "no answer in time"),
    "closes": (lambda _: b"", "it hung up, or answered what is no HTTP"),
    "garbage": (lambda _: b"\x00\xff" * 100, "it hung up, or answered what is no HTTP"),
    "endless": (lambda _: b"HTTP/1.1 200 x\r\n" + b"A: b\r\n" * 100_000, "it hung up"),
}


@pytest.mark.parametrize("how", BAD)
async def test_a_bad_answer_is_a_failure(receiver: Receiver, how: str) -> None:
    receiver.answer, told = BAD[how]
    answer = await sender(channel_to(receiver), seconds=1).attempt(message())
    assert not answer.taken
    assert answer.told.startswith(told)
    assert len(receiver.received) == 1


async def test_a_body_that_never_ends_is_not_waited_for(receiver: Receiver) -> None:
    receiver.answer = lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx"
    answer = await sender(channel_to(receiver), seconds=5).attempt(message())
    assert (answer.taken, answer.told) == (True, "200")


async def test_without_a_secret_it_is_not_signed(receiver: Receiver) -> None:
    made = message()
    assert (await sender(channel_to(receiver)).attempt(made)).taken
    [one] = receiver.received
    assert one.id == made.id
    assert "webhook-signature" not in one.headers


async def test_addresses_of_the_machine_s_own_network_are_refused(receiver: Receiver) -> None:
    secret = "planted"
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"):
        url = f"https://{host}:{receiver.port}/{secret}"
        answer = await sender(Channel(name="ops", kind="webhook", url=url)).attempt(message())
        assert answer.told == "its address is not public: the channel must say ?private=yes"
    assert receiver.received == []


async def test_what_can_t_be_reached_is_told_without_its_address() -> None:
    for url, told in (
        ("http://127.0.0.1:1/planted", "no connection"),
        ("http://no-such-host.invalid/planted", "its name can't be looked up"),
        ("http://" + "a" * 70 + ".example/planted", "its name can't be looked up"),
    ):
        channel = Channel(name="ops", kind="webhook", url=url, private=True)
        assert (await sender(channel).attempt(message())).told == told
    assert (await sender().attempt(message())).told == "there is no such channel"


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07::1", True),
        ("10.0.0.1", False),
        ("172.16.3.4", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("127.8.8.8", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:0a00:0001::1", False),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b::93.184.215.14", True),
    ],
)
def test_which_addresses_are_public(text: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(text)) == public


def test_one_private_address_among_others_is_enough_to_refuse() -> None:
    assert "127.0.0.1" in addresses_of("127.0.0.1", 80, private=True)
    with pytest.raises(NotAllowed):
        addresses_of("127.0.0.1", 80, private=False)


@pytest.mark.parametrize(("name", "told"), [("localhost", "204"), ("other.example", "its cert")])
async def test_the_certificate_must_be_for_the_channels_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, told: str
) -> None:
    """The address that was looked up is called, and the name is what is asked for there."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
        *("-keyout", str(key), "-out", str(certificate)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await made.wait() == 0
    asked: list[str | None] = []
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    tls.sni_callback = lambda _socket, server_name, _context: asked.append(server_name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with receiving(tls) as receiver:
        url = f"https://localhost:{receiver.port}/hook"
        channel = Channel(name="ops", kind="webhook", url=url, private=True)
        answer = await sender(channel).attempt(message())
    assert answer.told.startswith(told)
    assert asked == ["localhost"]
    assert [one.headers["host"] for one in receiver.received] == (
        [f"localhost:{receiver.port}"] if answer.taken else []
    )


async def test_apprise_sends_text_to_a_service(receiver: Receiver) -> None:
    receiver.answer = lambda _: status(200)
    channel = Channel(name="chat", kind="apprise", url=f"json://127.0.0.1:{receiver.port}/planted")
    made = message("chat", subject="Failed: @everyone", body="<!channel> 失败")
    answer = await sender(channel).attempt(made)
    assert (answer.taken, answer.told) == (True, "taken")
    [one] = receiver.received
    assert one.json["title"] == "Failed: @\u200beveryone"
    assert one.json["message"] == "<\u200b!channel> 失败"
    assert one.json["attachments"] == []


async def test_no_log_names_where_a_channel_leads(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"json://127.0.0.1:{receiver.port}/planted-secret"
    both = [channel_to(receiver), Channel(name="chat", kind="apprise", url=url)]
    for answer in (status(200), status(500, "planted-secret"), b"planted-secret"):
        receiver.answer = lambda _, answer=answer: answer  # type: ignore[misc]
        for channel in both:
            told = await sender(*both).attempt(message(channel.name))
            assert "planted" not in told.told
    assert len(receiver.received) >= 6
    assert all("planted" in one.target for one in receiver.received)
    assert "planted" not in caplog.text
    assert "planted" not in "".join(capfd.readouterr())


async def test_apprise_that_is_refused_or_hangs(receiver: Receiver) -> None:
    channel = Channel(name="chat", kind="apprise", url=f"json://127.0.0.1:{receiver.port}/")
    receiver.answer = lambda _: status(500)
    assert (await sender(channel).attempt(message("chat"))).told == "the service did not take it"
    receiver.answer = lambda _: None
    by = sender(channel, seconds=0.5)
    began = time.monotonic()
    assert (await by.attempt(message("chat"))).told == "no answer in time"
    assert time.monotonic() - began < 3


async def test_calls_that_hang_keep_their_places_and_nobody_waits_for_them() -> None:
    threads, gate = Threads("test", limit=2), threading.Event()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await threads.call(gate.wait, 0.05)
    with pytest.raises(NoThread):
        await threads.call(gate.wait, 0.05)
    gate.set()
    async with asyncio.timeout(5):
        while threads.busy:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await threads.call(lambda: 3, 1) == 3
    with pytest.raises(ZeroDivisionError):
        await threads.call(lambda: 1 / 0, 1)


def test_what_apprise_does_not_know_stops_the_start() -> None:
    channel = Channel(name="chat", kind="apprise", url="nonsense://planted")
    with pytest.raises(SettingsError, match="TASKSERVICE_CHANNEL_CHAT is no URL that") as refused:
        Service(Settings(channels={"chat": channel}))
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[", "not valid YAML"),
        ("{to: ops}", "must be a channel's name or a list of rules, not a mapping"),
        ("[{to: ops, after: 0}]", "notify.0.after: must be a whole number from 1 to 1000"),
        ("opps", "there is no channel 'opps'; did you mean 'ops'?"),
        ("ops\nname: x", "not valid YAML"),
        ("!!python/object ops", "is not taken: only plain values are"),
    ],
)
def test_wrong_rules_stop_the_start_in_one_line(text: str, told: str) -> None:
    settings = Settings(
        channels={"ops": Channel(name="ops", kind="webhook", url="https://x")}, notify=text
    )
    with pytest.raises(SettingsError) as refused:
        rules_in_service(settings)
    line = str(refused.value)
    assert line.startswith("TASKSERVICE_NOTIFY is ") and told in line
    assert line.splitlines() == [line]


def test_rules_of_tasks_that_name_none() -> None:
    ops = Channel(name="ops", kind="webhook", url="https://x")
    said, silent = parsed(minimal(notify="ops")), parsed(minimal())
    rules_of = rules_in_service(Settings(channels={"ops": ops}, notify="- to: ops\n  after: 3\n"))
    assert rules_of(silent).rules["ops"].after == 3
    assert rules_of(said).rules["ops"].after == 1
    assert not rules_in_service(Settings(notify="[]"))(silent).rules
    assert not rules_in_service(Settings())(silent).rules
    # A worker may not have the variable: then anything may matter.
    assert rules_on_worker(Settings())(silent).rules
    assert rules_on_worker(Settings(notify="ops"))(silent).rules.keys() == {"ops"}
