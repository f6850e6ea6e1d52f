"""A plan in words: for a terminal, and for a comment on a pull request."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from taskservice.cli.output import cell, console

Plan = Mapping[str, Any]

_PARTS = (
    ("create", "+", "to create", "green"),
    ("update", "~", "to change", "yellow"),
    ("retire", "-", "to retire", "red"),
)


def summary(plan: Plan) -> str:
    """The plan in a line."""
    told = [f"{len(plan[part])} {what}" for part, _, what, _ in _PARTS if plan[part]]
    if plan["refuse"]:
        told.append(f"{len(plan['refuse'])} refused")
    if plan["held"]:
        told.append("held")
    return ", ".join(told) or "no changes"


def print_plan(plan: Plan) -> None:
    """Print it on standard output; times are in this machine's zone."""
    from rich.text import Text

    out = console()
    for part, mark, _, colour in _PARTS:
        for entry in plan[part]:
            out.print(Text(f"{mark} {entry['task_id']}", style=f"bold {colour}").append(
                f"  {_place(entry)}", style="dim not bold"
            ))  # fmt: skip
            width = max((len(name) for name, _ in _facts(entry, _local)), default=0)
            for name, fact in _facts(entry, _local):
                out.print(Text(f"    {name:{width}}  {fact}"))
    for fault in plan["refuse"]:
        out.print(Text(f"! {_fault(fault)}", style="red"))
    if plan["held"]:
        out.print(Text(f"held: {_held(plan['held'])}", style="bold red"))
    if plan["overrides"]:
        out.print(Text("Overrides in force:", style="bold"))
    for override in plan["overrides"]:
        out.print(Text(f"  {override['task_id']}  {_override(override, _local)}"))
    out.print(Text(f"Plan: {summary(plan)}.", style="bold"))


def as_markdown(plan: Plan) -> str:
    """A comment for a pull request; times are in UTC."""
    lines = [f"### taskservice plan: {summary(plan)}", ""]
    for part, mark, what, _ in _PARTS:
        if not plan[part]:
            continue
        lines += [f"<details open><summary><b>{len(plan[part])} {what}</b></summary>", ""]
        for entry in plan[part]:
            lines += [f"**{mark} {_code(entry['task_id'])}** {_code(_place(entry))}", ""]
            facts = [f"| {name} | {_escaped(fact)} |" for name, fact in _facts(entry, _utc)]
            if facts:
                lines += ["| | |", "| --- | --- |", *facts, ""]
        lines += ["</details>", ""]
    if plan["refuse"]:
        lines += ["**Refused**", "", *(f"- {_code(_fault(one))}" for one in plan["refuse"]), ""]
    if plan["held"]:
        lines += [f"**Held**: {_escaped(_held(plan['held']))}", ""]
    if plan["overrides"]:
        lines += ["**Overrides in force**", ""]
        lines += [
            f"- {_code(one['task_id'])} {_escaped(_override(one, _utc))}"
            for one in plan["overrides"]
        ]
        lines.append("")
    return "\n".join(lines).rstrip()


def _facts(entry: Mapping[str, Any], time: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """What there is to say of one task, each under a name."""
    created = not entry["fires_old"] and all(one["old"] is None for one in entry["changes"])
    for change in entry["changes"]:
        value = _value(change["new"])
        said = value if created else f"{_value(change['old'])} → {value}"
        if change["hidden"]:
            said += f" (has no effect now: overridden {_story(change['override'], time)})"
        yield change["field"], said
    for override in entry["ends"]:
        yield override["field"], f"override ends, set {_story(override, time)}"
    old, new = entry["fires_old"], entry["fires_new"]
    if old == new:
        if entry["changes"]:
            yield "next fires", f"as before: {_fires(new, time)}"
    else:
        if old:
            yield "fires now", _fires(old, time)
        yield "then", _fires(new, time)
    week = entry["runs_a_week"]
    if week["gained"] or week["lost"]:
        changed = [
            f"{week[kind]} {kind}" for kind in ("gained", "lost") if week[kind]
        ]  # fmt: skip
        yield "runs a week", f"{week['old']} → {week['new']} ({', '.join(changed)})"
    for change in entry["clock_changes"]:
        then = {
            "skipped": "is skipped by the clock: it fires after the gap,",
            "repeated": "comes twice: it fires once,",
        }[change["kind"]]
        yield "clock", f"{change['date']} {change['time']} {then} {time(change['fire'])}"


def _place(entry: Mapping[str, Any]) -> str:
    return f"{entry['path']}:{entry['line']}"


def _fires(fires: Iterable[str], time: Callable[[str], str]) -> str:
    return ", ".join(map(time, fires)) or "none"


def _value(value: object) -> str:
    if isinstance(value, dict) and value.keys() == {"trigger_type", "trigger_args"}:
        return f"{value['trigger_type']} {cell(value['trigger_args'])}"
    return cell(value)


def _override(override: Mapping[str, Any], time: Callable[[str], str]) -> str:
    what = "deleted" if override["field"] == "deleted" else (
        f"{override['field']} = {_value(override['value'])}"
    )  # fmt: skip
    return f"{what}, set {_story(override, time)}"


def _story(override: Mapping[str, Any], time: Callable[[str], str]) -> str:
    """Who set it, when, why, and until when it holds."""
    told = f"by {override['set_by']} at {time(override['set_at'])}"
    if override["reason"]:
        told += f": {cell(override['reason'])}"
    return told + (f", until {time(override['until'])}" if override["until"] else "")


def _fault(fault: Mapping[str, Any]) -> str:
    places = (fault["path"], fault["line"], fault["column"])
    place = ":".join(str(part) for part in places if part)
    field = f"{fault['field']}: " if fault["field"] else ""
    return f"{place}: {field}{cell(fault['reason'])}"


def _held(held: Mapping[str, Any]) -> str:
    ids = held["task_ids"]
    more = f" and {len(ids) - 10} more" if len(ids) > 10 else ""
    return (
        f"{held['reason']}: {', '.join(ids[:10])}{more}; `taskservice sync --prune` lets it go on"
    )


def _local(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone():%a %Y-%m-%d %H:%M:%S%z}"


def _utc(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(UTC):%a %Y-%m-%d %H:%M:%SZ}"


def _code(text: str) -> str:
    """Code in Markdown, whatever backticks the text has."""
    ticks = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    return f"{ticks} {text} {ticks}" if len(ticks) > 1 else f"`{text}`"


def _escaped(text: str) -> str:
    """Text in a cell of a table or a line of Markdown, taken as it is."""
    for special in "\\`*_[]<>|#@":
        text = text.replace(special, f"\\{special}")
    return text
