"""Webhooks, signed as Standard Webhooks has it: one address that was checked, no redirects."""

import logging
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from taskservice import __version__
from taskservice.service.notify.addresses import NotAllowed, addresses_of
from taskservice.service.notify.answers import LATE, SECONDS, Answer, refused
from taskservice.service.notify.threads import NoThread, Threads
from taskservice.settings import Channel
from taskservice.settings.channels import secret_bytes
from taskservice.storage.messages import Message
from taskservice.storage.rows import to_json

if TYPE_CHECKING:
    import httpx

LOOKUPS = 8
"""How many names are looked up at a time."""

_PRIVATE = refused("its address is not public: the channel must say ?private=yes")


class Webhooks:
    """Sends messages to webhooks; without a secret they are not signed."""

    def __init__(self, secret: str) -> None:
        self._secret = secret_bytes(secret) if secret else None
        self._lookups = Threads("taskservice-lookup", limit=LOOKUPS)
        self._context: ssl.SSLContext | None = None
        # They log what is called, and that is a secret.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    async def send(self, channel: Channel, message: Message) -> Answer:
        """Send a message; the caller limits the time."""
        body = body_of(message)
        headers = {"Content-Type": "application/json", **self._signed(message.id, body)}
        return await self._call(channel, "POST", headers, body)

    async def beat(self, channel: Channel) -> Answer:
        """Call an address, with nothing to say but that; the caller limits the time."""
        return await self._call(channel, "GET", {}, "")

    async def _call(
        self, channel: Channel, method: str, headers: Mapping[str, str], body: str
    ) -> Answer:
        """What comes of a request to the first of the channel's addresses that can be reached."""
        import httpx

        parts = urlsplit(channel.url)
        host = str(parts.hostname)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            names = await self._lookups.call(
                lambda: addresses_of(host, port, private=channel.private), SECONDS
            )
        except NotAllowed:
            return _PRIVATE
        except NoThread:
            return refused("too many names are being looked up")
        except (OSError, UnicodeError):
            return refused("its name can't be looked up")
        failure = refused("it has no address")
        async with httpx.AsyncClient(
            verify=self._trusted(), trust_env=False, follow_redirects=False,
            timeout=httpx.Timeout(SECONDS),
        ) as client:  # fmt: skip
            for name in names:
                try:
                    return await self._ask(client, channel, name, method, headers, body)
                except httpx.ConnectError as error:
                    failure = refused(_why(error))
                except httpx.HTTPError as error:
                    return refused(_why(error))
        return failure

    async def _ask(
        self,
        client: "httpx.AsyncClient",
        channel: Channel,
        address: str,
        method: str,
        headers: Mapping[str, str],
        body: str,
    ) -> Answer:
        """Call one address; the name stays in the request, and in the certificate that is asked."""
        import httpx

        url = httpx.URL(channel.url)
        request = client.build_request(
            method,
            url.copy_with(host=address),
            content=body or None,
            headers={
                "Host": url.netloc.decode(),
                "User-Agent": f"taskservice/{__version__}",
                **headers,
            },
            extensions={"sni_hostname": url.raw_host.decode()},
        )
        answer = await client.send(request, stream=True)
        await answer.aclose()
        return Answer(taken=answer.is_success, told=str(answer.status_code))

    def _signed(self, message_id: str, body: str) -> dict[str, str]:
        """The headers of Standard Webhooks."""
        now = datetime.now(UTC)
        headers = {"webhook-id": message_id, "webhook-timestamp": str(int(now.timestamp()))}
        if self._secret:
            from standardwebhooks.webhooks import Webhook

            headers["webhook-signature"] = Webhook(self._secret).sign(message_id, now, body)
        return headers

    def _trusted(self) -> ssl.SSLContext:
        """The system's certificates, or those that SSL_CERT_FILE names, and Mozilla's."""
        if self._context is None:
            import certifi

            self._context = ssl.create_default_context()
            self._context.load_verify_locations(certifi.where())
        return self._context


def body_of(message: Message) -> str:
    """What a webhook is sent: the same at each attempt."""
    kind = message.kind if message.task_id is None else f"task.{message.kind}"
    body: dict[str, Any] = {
        "type": kind,
        "timestamp": message.created_at.isoformat(),
        "data": {"subject": message.subject, "text": message.body, **message.data},
    }
    return to_json(body)


def _why(error: "httpx.HTTPError") -> str:
    """What went wrong, without what the error says: it may name the address."""
    import httpx

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "its certificate is not trusted"
        if isinstance(cause, ssl.SSLError):
            return "no connection by TLS"
        cause = cause.__cause__ or cause.__context__
    match error:
        case httpx.ConnectError():
            return "no connection"
        case httpx.TimeoutException():
            return LATE.told
        case httpx.RemoteProtocolError() | httpx.ReadError():
            return "it hung up, or answered what is no HTTP"
    return "it could not be sent"
