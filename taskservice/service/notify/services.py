"""Services of others, by Apprise: text alone, on threads of their own, with a limit over all."""

import logging
from typing import Any

from taskservice.service.notify.answers import SECONDS, Answer, refused
from taskservice.service.notify.threads import NoThread, Threads
from taskservice.settings import PREFIX, Channel, SettingsError
from taskservice.settings.channels import VARIABLE
from taskservice.storage.messages import Message

THREADS = 8
"""How many messages Apprise sends at a time, with those that hang."""


class Services:
    """Sends messages by Apprise."""

    def __init__(self) -> None:
        self._threads = Threads("taskservice-apprise", limit=THREADS)

    @property
    def busy(self) -> int:
        """How many threads are at it, or hang."""
        return self._threads.busy

    async def send(self, channel: Channel, message: Message) -> Answer:
        """Send a message; raises TimeoutError."""
        title, body = harmless(message.subject), harmless(message.body)
        try:
            taken = await self._threads.call(lambda: _notify(channel.url, title, body), SECONDS)
        except NoThread:
            return refused(f"{THREADS} messages to services hang")
        except TimeoutError:
            raise
        except Exception as error:
            return refused(f"Apprise failed: {type(error).__name__}")
        return Answer(taken=True, told="taken") if taken else refused("the service did not take it")


def check(channel: Channel) -> None:
    """Raise SettingsError where Apprise knows no such URL; it is not shown."""
    if _service(channel.url) is None:
        raise SettingsError(
            f"{PREFIX}{VARIABLE}{channel.name.upper()} is no URL that Apprise knows: see "
            "https://github.com/caronc/apprise/wiki"
        )


def harmless(text: str) -> str:
    """A text that calls nobody: what a chat takes for a mention is parted."""
    return text.replace("@", "@\u200b").replace("<!", "<\u200b!")


def _notify(url: str, title: str, body: str) -> bool:
    service = _service(url)
    return service is not None and bool(service.notify(title=title, body=body, body_format="text"))


def _service(url: str) -> Any:
    # It takes half a second to import, which only those wait for who have such a channel.
    import apprise

    # They log what others answered, and where was called.
    for name in ("apprise", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    asset = apprise.AppriseAsset(
        app_id="taskservice", app_desc="taskservice", async_mode=False, storage_mode="memory",
        allow_templates=False, pgp_autogen=False, pem_autogen=False,
    )  # fmt: skip
    return apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
