"""Which repository is followed."""

import os
import re
from pathlib import Path

from taskservice.settings.database import without_secrets
from taskservice.settings.values import seconds
from taskservice.settings.wrong_value import WrongValue

_GIT_HOST = r"(?:[A-Za-z0-9][\w.-]*|\[[0-9A-Fa-f:.]+\])"
_GIT_URL = re.compile(
    rf"(?P<shown>(?P<scheme>https?|ssh|git)://)(?:(?P<user>[^@/?#\s]*)@)?"
    rf"(?P<place>{_GIT_HOST}(?::\d{{1,5}})?/[^@?#\s]+)",
    re.ASCII,
)
_GIT_SCP = re.compile(rf"(?:[\w.][\w.-]*@)?(?P<place>{_GIT_HOST}:(?!:|//)[^@?#\s]+)", re.ASCII)
_NO_BRANCH = re.compile(
    r"-.*|@|.*(\.\.|@\{|//|/\.|\.lock/).*|[./].*|.*(\.lock|[./])|.*[\x00-\x20\x7f~^:?*[\\].*|",
    re.DOTALL,
)


def git_url(text: str) -> str:
    """A URL that git can fetch from; a local path is made absolute."""
    if not text:
        return text
    printable = text.isprintable()
    if printable and (match := _GIT_URL.fullmatch(text)):
        user = match["user"] or ""
        if ":" in user and not match["scheme"].startswith("http"):
            raise WrongValue(
                f"{match['scheme']} takes no password; set up a key", shown=without_secrets(text)
            )
        return text
    if printable and (_GIT_SCP.fullmatch(text) or re.fullmatch(r"file:///[^?#]+", text)):
        return text
    if not printable or re.match(r"-|[^/]*:", text) or text != text.strip():
        raise WrongValue(
            "it must be a URL of https, http, ssh, git or file, user@host:path, or a local path; "
            "in a user and a password, / @ : # are percent-encoded",
            shown=without_secrets(text),
        )
    return os.path.abspath(text)


def shown_git_url(url: str) -> str:
    """The repository's URL as it may be shown: without user and password."""
    match = _GIT_URL.fullmatch(url) or _GIT_SCP.fullmatch(url)
    if not match:
        return url
    return match.groupdict().get("shown", "") + match["place"]


def git_branch(text: str) -> str:
    if _NO_BRANCH.fullmatch(text) or not text.isprintable():
        raise WrongValue("it must be the name of a branch, such as main or release/1")
    return text


def git_path(text: str) -> str:
    parts = text.rstrip("/").split("/")
    sound = not text or not any(part.lower() in ("", ".", "..", ".git") for part in parts)
    if not sound or not text.isprintable():
        raise WrongValue(
            "it must be a folder's path from the top of the repository, such as tasks.d"
        )
    return text.rstrip("/")


def git_interval(text: str) -> float:
    interval = seconds(text)
    if not interval:
        raise WrongValue("it must be longer than nothing")
    return interval


def git_webhook_secret(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise WrongValue("it must be one line of text, without space around it", shown="***")
    return text


def git_signers(text: str) -> Path | None:
    """A file of allowed signers, made absolute; none is named by an empty text."""
    if not text:
        return None
    file = Path(text).absolute()
    if not file.is_file():
        raise WrongValue("it must be a file of allowed signers, as ssh-keygen(1) has it")
    return file
