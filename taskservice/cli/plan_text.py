"""A plan in words: for a terminal, and for a comment on a pull request."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from taskservice.cli.describe import fault_line
from taskservice.cli.escaping import for_markdown, for_terminal
from taskservice.cli.output import cell, console, styled

Plan = Mapping[str, Any]

_PARTS = (
    ("create", "+", "to create", "green"),
    ("update", "~", "to change", "yellow"),
    ("retire", "-", "to retire", "red"),
)


class _Format(NamedTuple):
    """How texts and times of a plan are written."""

    text: Callable[[str], str]
    time: Callable[[str], str]


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
    out = console()
    for part, mark, _, colour in _PARTS:
        for entry in plan[part]:
            out.print(
                styled(f"{mark} {entry['task_id']}", f"bold {colour}")
                + styled(f"  {_place(entry)}", "dim not bold")
            )
            facts = list(_facts(entry, _ON_TERMINAL))
            width = max((len(name) for name, _ in facts), default=0)
            for name, fact in facts:
                out.print(styled(f"    {name:{width}}  {fact}"))
    for fault in plan["refuse"]:
        out.print(styled(f"! {fault_line(fault)}", "red"))
    if plan["held"]:
        out.print(styled(f"held: {_held(plan['held'], _ON_TERMINAL)}", "bold red"))
    if plan["overrides"]:
        out.print(styled("Overrides in force:", "bold"))
    for override in plan["overrides"]:
        out.print(styled(f"  {override['task_id']}  {_override(override, _ON_TERMINAL)}"))
    out.print(styled(f"Plan: {summary(plan)}.", "bold"))


def as_markdown(plan: Plan) -> str:
    """A comment for a pull request; times are in UTC."""
    lines = [f"### taskservice plan: {summary(plan)}", ""]
    for part, mark, what, _ in _PARTS:
        if not plan[part]:
            continue
        lines += [f"<details open><summary><b>{len(plan[part])} {what}</b></summary>", ""]
        for entry in plan[part]:
            task_id, place = for_markdown(entry["task_id"]), for_markdown(_place(entry))
            lines += [f"**{mark} {task_id}** {place}", ""]
            facts = [f"| {name} | {fact} |" for name, fact in _facts(entry, _IN_MARKDOWN)]
            if facts:
                lines += ["| | |", "| --- | --- |", *facts, ""]
        lines += ["</details>", ""]
    if plan["refuse"]:
        refused = (f"- {for_markdown(fault_line(one))}" for one in plan["refuse"])
        lines += ["**Refused**", "", *refused, ""]
    if plan["held"]:
        lines += [f"**Held**: {_held(plan['held'], _IN_MARKDOWN)}", ""]
    if plan["overrides"]:
        lines += ["**Overrides in force**", ""]
        lines += [
            f"- {for_markdown(one['task_id'])} {_override(one, _IN_MARKDOWN)}"
            for one in plan["overrides"]
        ]
        lines.append("")
    return "\n".join(lines).rstrip()


def _facts(entry: Mapping[str, Any], form: _Format) -> Iterator[tuple[str, str]]:
    """What there is to say of one task, each under a name."""
    created = not entry["fires_old"] and all(one["old"] is None for one in entry["changes"])
    for change in entry["changes"]:
        value = form.text(_value(change["new"]))
        said = value if created else f"{form.text(_value(change['old']))} → {value}"
        if change["hidden"]:
            said += f" (has no effect now: overridden {_attribution(change['override'], form)})"
        yield form.text(change["field"]), said
    for override in entry["ends"]:
        yield form.text(override["field"]), f"override ends, set {_attribution(override, form)}"
    old, new = entry["fires_old"], entry["fires_new"]
    if old == new:
        if entry["changes"]:
            yield "next fires", f"as before: {_fires(new, form)}"
    else:
        if old:
            yield "fires now", _fires(old, form)
        yield "then", _fires(new, form)
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
        yield "clock", f"{change['date']} {change['time']} {then} {form.time(change['fire'])}"


def _place(entry: Mapping[str, Any]) -> str:
    return f"{entry['path']}:{entry['line']}"


def _fires(fires: Iterable[str], form: _Format) -> str:
    return ", ".join(map(form.time, fires)) or "none"


def _value(value: object) -> str:
    if isinstance(value, dict) and value.keys() == {"trigger_type", "trigger_args"}:
        return f"{value['trigger_type']} {cell(value['trigger_args'])}"
    return cell(value)


def _override(override: Mapping[str, Any], form: _Format) -> str:
    if override["field"] == "deleted":
        return f"deleted, set {_attribution(override, form)}"
    what = form.text(f"{override['field']} = {_value(override['value'])}")
    return f"{what}, set {_attribution(override, form)}"


def _attribution(override: Mapping[str, Any], form: _Format) -> str:
    """Who set it, when, why, and until when it holds."""
    told = f"by {form.text(override['set_by'])} at {form.time(override['set_at'])}"
    if override["reason"]:
        told += f": {form.text(override['reason'])}"
    return told + (f", until {form.time(override['until'])}" if override["until"] else "")


def _held(held: Mapping[str, Any], form: _Format) -> str:
    ids = held["task_ids"]
    told = ", ".join(map(form.text, ids[:10]))
    more = f" and {len(ids) - 10} more" if len(ids) > 10 else ""
    return f"{form.text(held['reason'])}: {told}{more}; `taskservice sync --prune` lets it go on"


def _local(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone():%a %Y-%m-%d %H:%M:%S%z}"


def _utc(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(UTC):%a %Y-%m-%d %H:%M:%SZ}"


_ON_TERMINAL = _Format(text=for_terminal, time=_local)
_IN_MARKDOWN = _Format(text=for_markdown, time=_utc)
