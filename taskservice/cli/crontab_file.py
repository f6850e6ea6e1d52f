"""A crontab, as crontab(5) describes it, becomes tasks that run its commands."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC

from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.placeholders import DOLLAR
from taskservice.domain.task import parse_task
from taskservice.domain.task_id import MAX_LENGTH
from taskservice.domain.trigger import parse_trigger

FUNCTION = "taskservice.examples_shell.run_command"

_SHELL = "/bin/sh"
_NAME_LENGTH = 60
_OF_MAIL = ("MAILTO", "MAILFROM")
_OF_ZONE = ("CRON_TZ", "TZ")

_VARIABLE = re.compile(r"""\s*(['"]?)(?P<name>[A-Za-z_][A-Za-z0-9_]*)\1\s*=\s*(?P<value>.*)""")
_QUOTED = re.compile(r"""(['"])(?P<text>.*)\1""")
_WHEN = re.compile(r"[ \t]*(?P<when>@\S+|\S+(?:[ \t]+\S+){4})(?:[ \t]+|$)")
_USER = re.compile(r"(?P<user>\S+)(?:[ \t]+|$)")
_HEADINGS = re.compile(r"m\s+h\s+dom\s+mon\s+dow\b.*")
_PARTS = re.compile(r"\\(?P<escaped>[\\%])|%|[^\\%]+|\\")
_BREAKS = re.compile(r"\\?%")
_PLACEHOLDER = re.compile(r"\$(?=\{[A-Za-z_])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A task made of a line: its fields, and where the line stands."""

    task_id: str
    fields: Mapping[str, object]
    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Crontab:
    """What a crontab gives: tasks, faults, and notes on what is not as it was under cron."""

    tasks: tuple[Imported, ...]
    faults: tuple[Fault, ...]
    notes: tuple[Fault, ...]


def read_crontab(path: str, data: bytes, *, user_column: bool = False) -> Crontab:
    """Read a crontab; with `user_column` one of the system, whose sixth field is a user.

    `path` is what faults and notes are placed in.
    """
    reading = _Reading(path=path, user_column=user_column)
    for number, line in enumerate(data.split(b"\n"), start=1):
        try:
            reading.line(number, line.decode())
        except UnicodeDecodeError as error:
            column = len(line[: error.start].decode()) + 1
            reading.fault(number, column, "the line is not UTF-8")
    return Crontab(
        tasks=tuple(reading.tasks),
        faults=tuple(reading.faults),
        notes=tuple(sorted(reading.notes, key=lambda note: note.place)),
    )


@dataclass(slots=True, kw_only=True)
class _Reading:
    """How far a crontab is read, and what holds for the lines to come."""

    path: str
    user_column: bool
    tasks: list[Imported] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[Fault] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    comment: list[str] = field(default_factory=list)
    # Where TZ was set, until it is noted that it gives the zone of the times.
    zone_at: tuple[int, int] | None = None

    def line(self, number: int, line: str) -> None:
        """Take one more line."""
        text = line.strip()
        column = len(line) - len(line.lstrip()) + 1
        if text.startswith("#"):
            said = text.lstrip("#").strip()
            # An empty line of a comment ends a paragraph: the last one tells of what follows.
            self.comment = [*self.comment, said] if said and not _HEADINGS.fullmatch(said) else []
            return
        if variable := _VARIABLE.fullmatch(text):
            self._variable(number, column, variable["name"], variable["value"])
        elif text:
            self._command(number, line.rstrip("\r"))
        self.comment = []

    def fault(self, line: int, column: int, reason: str) -> None:
        """Keep a fault."""
        self.faults.append(Fault(path=self.path, line=line, column=column, reason=reason))

    def note(self, line: int, column: int, reason: str) -> None:
        """Keep a note."""
        self.notes.append(Fault(path=self.path, line=line, column=column, reason=reason))

    def _variable(self, line: int, column: int, name: str, value: str) -> None:
        if quoted := _QUOTED.fullmatch(value):
            value = quoted["text"]
        if name in _OF_MAIL:
            self.note(line, column, f"{name} is ignored: output is kept with each execution")
            return
        if name in _OF_ZONE and value:
            try:
                parse_trigger("cron", _arguments("@daily", value), zone=UTC)
            except Invalid as invalid:
                self.fault(line, column, f"{name}: {invalid.faults[0].reason}")
                return
        if name == "TZ":
            self.zone_at = (line, column)
        self.variables[name] = value

    def _command(self, line: int, text: str) -> None:
        when = _WHEN.match(text)
        if when is None:
            column = len(text) - len(text.lstrip()) + 1
            reason = "is no comment, no NAME=value, and not five fields and a command"
            self.fault(line, column, reason)
            return
        rest, column = text[when.end() :], when.end() + 1
        if self.user_column and (user := _USER.match(rest)):
            reason = f"the user {user['user']!r} is not kept: commands run as the service's user"
            self.note(line, column, reason)
            rest, column = rest[user.end() :], column + user.end()
        command, stdin = split_command(rest)
        if not command.strip():
            self.fault(line, column, "a command is expected here")
            return
        if _PLACEHOLDER.search(rest):
            reason = "`${` is written as `${DOLLAR:-$}{`: so the shell gets it, as under cron"
            self.note(line, column, reason)
        self._take(line, when.start("when") + 1, " ".join(when["when"].split()), command, stdin)

    def _take(self, line: int, column: int, when: str, command: str, stdin: str | None) -> None:
        fields = {
            "name": _shortened(command),
            "task_type": "command",
            "trigger_type": "cron",
            "trigger_args": _arguments(when, self._zone()),
            "func_path": FUNCTION,
            "func_args": self._call(command, stdin),
            **({"description": "\n".join(self.comment)} if self.comment else {}),
            "executor": "process",
        }
        try:
            parse_task(fields, zone=UTC)
        except Invalid as invalid:
            for fault in invalid.faults:
                self.fault(line, column, fault.reason)
            return
        if self.zone_at and self.variables["TZ"] and not self.variables.get("CRON_TZ"):
            reason = "TZ gives the zone of the times too, where Debian's cron gives it to commands"
            self.note(*self.zone_at, reason)
            self.zone_at = None
        task_id = _unique(slug(command), {task.task_id for task in self.tasks})
        self.tasks.append(Imported(task_id=task_id, fields=fields, line=line, column=column))

    def _zone(self) -> str | None:
        return next((self.variables[name] for name in _OF_ZONE if self.variables.get(name)), None)

    def _call(self, command: str, stdin: str | None) -> dict[str, object]:
        """The arguments of the function that runs the command."""
        shell = self.variables.get("SHELL", _SHELL)
        environment = {
            name: _for_the_shell(value)
            for name, value in self.variables.items()
            if name not in ("SHELL", "CRON_TZ")
        }
        return {
            "command": _for_the_shell(command),
            **({"shell": _for_the_shell(shell)} if shell != _SHELL else {}),
            **({"stdin": _for_the_shell(stdin)} if stdin is not None else {}),
            **({"environment": environment} if environment else {}),
        }


def split_command(text: str) -> tuple[str, str | None]:
    r"""A line's command and what it gets as standard input, None for nothing.

    The first `%` ends the command, the others are line breaks; `\%` is a `%`. In the command `\\`
    is a `\`, as cron's do_command.c has it; in the input it stays.
    """
    command, end = "", len(text)
    for part in _PARTS.finditer(text):
        if part[0] == "%":
            end = part.start()
            break
        command += part["escaped"] or part[0]
    stdin = _BREAKS.sub(lambda sign: "\n" if sign[0] == "%" else "%", text[end + 1 :])
    if stdin and not stdin.endswith("\n"):
        stdin += "\n"
    return command.rstrip(), stdin or None


def slug(command: str) -> str:
    """An id made of a command's words, as many of them as there is room for."""
    made = ""
    for word in command.split():
        if re.match(r"\d*[<>]|\w+=", word):
            continue  # where output goes, and the variables in front
        path, _, last = word.rstrip("/").rpartition("/")
        name = last.rpartition(".")[0] or last if path else last
        part = re.sub(r"[\W_]+", "-", name.lower()).strip("-")
        longer = f"{made}-{part}" if made else part[:MAX_LENGTH]
        if len(longer) > MAX_LENGTH:
            break
        made = longer if part else made
    return made.strip("-") or "command"


def _unique(task_id: str, taken: set[str]) -> str:
    number, unique = 1, task_id
    while unique in taken:
        number += 1
        unique = f"{task_id[: MAX_LENGTH - len(str(number)) - 1].rstrip('-')}-{number}"
    return unique


def _shortened(command: str) -> str:
    shown = "".join(one for one in " ".join(command.split()) if one.isprintable())
    if len(shown) > _NAME_LENGTH:
        shown = f"{shown[: _NAME_LENGTH - 1].rstrip()}…"
    return shown or "command"


def _arguments(when: str, zone: str | None) -> dict[str, object]:
    return {"crontab": when, "timezone": zone} if zone else {"crontab": when}


def _for_the_shell(text: str) -> str:
    """The text with `${NAME}` written so that taskservice leaves it as it is."""
    return _PLACEHOLDER.sub(lambda _: DOLLAR, text)
