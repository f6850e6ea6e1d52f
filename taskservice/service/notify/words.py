"""What people are told, in English or Chinese: a subject, and a few lines."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any
from urllib.parse import quote

from taskservice.domain.incidents import Alert
from taskservice.domain.state import TaskState
from taskservice.settings import ChannelLanguage
from taskservice.storage.events import StoredEvent
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.messages import Message

LONGEST_LINE = 300
"""Characters of a line that quotes somebody."""

LONGEST_SUBJECT = 200

NAMED = 20
"""How many tasks a message names that gathers others."""

_ENGLISH = {
    "failure": "Failed: {name}",
    "reminder": "Still failing: {name}",
    "recovery": "Recovered: {name}",
    "missed": "Missed: {name}",
    "skipped": "Skipped: {name}",
    "late": "Late: {name}",
    "long": "Takes long: {name}",
    "short": "Completed too soon: {name}",
    "task": "Task {id}",
    "error": "Error: {error}",
    "row": "Failures in a row: {count}, since {since}",
    "over": "After {count} failures in a row, since {since}",
    "limit": "Limit: {seconds} s",
    "took": "It took {seconds} s",
    "changed": "Last changed {at} by {by}",
    "why": "Last changed {at} by {by}: {reason}",
    "fire": "Scheduled for {fire}",
    "next": "Next fire: {next}",
    "paused": "It is paused",
    "none": "No fire is left",
    "gathered": "{count} more messages: {kinds}",
    "of": "{kind}: {names}",
    "more": "{names} and {count} more",
    "test": "Test of the channel {channel}",
    "tested": "Somebody asked for it: {by}",
    "undeliverable": "The channel {channel} has not taken a message for a day",
    "answer": "Its last answer: {answer}",
    "sync": "Faults in task files: {count}",
    "sync_recovered": "All task files are sound again",
    "held": "A sync is held: it would retire {count} tasks",
    "queue": "No worker serves the queue {queue}",
    "waiting": "Executions that wait: {count}",
    "takeover": "{name} schedules: {before} is gone",
}
_CHINESE = {
    "failure": "失败：{name}",
    "reminder": "仍在失败：{name}",
    "recovery": "已恢复：{name}",
    "missed": "错过执行：{name}",
    "skipped": "被跳过：{name}",
    "late": "延迟：{name}",
    "long": "运行过久：{name}",
    "short": "完成过快：{name}",
    "task": "任务 {id}",
    "error": "错误：{error}",
    "row": "连续失败 {count} 次，自 {since} 起",
    "over": "此前连续失败 {count} 次，自 {since} 起",
    "limit": "限值：{seconds} 秒",
    "took": "耗时 {seconds} 秒",
    "changed": "最近由 {by} 于 {at} 更改",
    "why": "最近由 {by} 于 {at} 更改：{reason}",
    "fire": "计划时间：{fire}",
    "next": "下次执行：{next}",
    "paused": "任务已暂停",
    "none": "没有后续执行",
    "gathered": "另有 {count} 条消息：{kinds}",
    "of": "{kind}：{names}",
    "more": "{names} 等，另有 {count} 个",
    "test": "通道 {channel} 的测试消息",
    "tested": "由 {by} 发起",
    "undeliverable": "通道 {channel} 一天都没有接收一条消息",
    "answer": "最后的回答：{answer}",
    "sync": "任务文件有 {count} 处错误",
    "sync_recovered": "所有任务文件都恢复正常",
    "held": "一次同步被搁置：它会使 {count} 个任务退役",
    "queue": "没有工作进程服务队列 {queue}",
    "waiting": "等待中的执行：{count}",
    "takeover": "{name} 接管调度：{before} 已消失",
}
_TEXTS: Mapping[ChannelLanguage, Mapping[str, str]] = {"en": _ENGLISH, "zh": _CHINESE}
_KINDS: Mapping[ChannelLanguage, Mapping[str, str]] = {
    "en": {
        "failure": "failed", "reminder": "still failing", "recovery": "recovered",
        "missed": "missed", "skipped": "skipped", "late": "late", "long": "takes long",
        "short": "too soon", "undeliverable": "undeliverable", "sync": "faults in files",
        "sync_recovered": "files are sound", "held": "a sync is held", "queue": "a queue unserved",
        "takeover": "takeover",
    },
    "zh": {
        "failure": "失败", "reminder": "仍在失败", "recovery": "已恢复", "missed": "错过",
        "skipped": "跳过", "late": "延迟", "long": "过久", "short": "过快",
        "undeliverable": "无法送达", "sync": "文件错误", "sync_recovered": "文件恢复正常",
        "held": "同步被搁置", "queue": "队列无人服务", "takeover": "调度被接管",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where people are: in which zone, and where the service is for them (empty: unknown)."""

    zone: tzinfo
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A message as people read it, and as programs do."""

    subject: str
    body: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What is told of a task: `kind` is a topic or `reminder`.

    `alert` is where the rule stood when it failed, `seconds` the limit that was passed, or the time
    that it took, `changed` the last change of the task that is known.
    """

    kind: str
    state: TaskState
    alert: Alert
    execution: ExecutionRow | None = None
    seconds: float | None = None
    changed: StoredEvent | None = None


def words_of(occasion: Occasion, language: ChannelLanguage, place: Place) -> Words:
    """What is told on an occasion."""
    texts = _TEXTS[language]
    state, execution, alert = occasion.state, occasion.execution, occasion.alert
    name = line(state.task.name)
    error = last_line(execution.error) if execution and execution.error else None
    lines = [texts["task"].format(id=state.id)]
    failing = occasion.kind in ("failure", "reminder")
    if error and occasion.kind != "recovery":
        lines.append(texts["error"].format(error=error))
    if (failing or occasion.kind == "recovery") and alert.since:
        since = moment(alert.since, place.zone)
        told = texts["row" if failing else "over"]
        lines.append(told.format(count=alert.failures, since=since))
    if execution and execution.scheduled_time and occasion.kind in ("missed", "skipped", "late"):
        fire = moment(execution.scheduled_time, place.zone)
        lines.append(texts["fire"].format(fire=fire))
    if occasion.seconds is not None and occasion.kind in ("late", "long", "short"):
        told = texts["took" if occasion.kind == "short" else "limit"]
        lines.append(told.format(seconds=f"{occasion.seconds:g}"))
    if failing and occasion.changed:
        lines.append(_changed(occasion.changed, texts, place.zone))
    if state.task.paused:
        lines.append(texts["paused"])
    elif state.next_run_time is None:
        lines.append(texts["none"])
    else:
        lines.append(texts["next"].format(next=moment(state.next_run_time, place.zone)))
    url = _address(place.url, state.id, execution)
    data = {
        "task_id": state.id,
        "task_name": state.task.name,
        "incident": alert.incident,
        "failures": alert.failures,
        "since": _iso(alert.since),
        "execution_id": execution.id if execution else None,
        "scheduled_time": _iso(execution.scheduled_time) if execution else None,
        "error": error,
        "error_kind": execution.error_kind if execution else None,
        "next_run_time": _iso(state.next_run_time),
        "changed_at": _iso(occasion.changed.at) if occasion.changed else None,
        "changed_by": _by(occasion.changed) if occasion.changed else None,
        "url": url,
    }
    subject = texts[occasion.kind].format(name=name)
    return Words(
        subject=subject[:LONGEST_SUBJECT],
        body="\n".join([*lines, *([url] if url else [])]),
        data=data,
    )


def _changed(changed: StoredEvent, texts: Mapping[str, str], zone: tzinfo) -> str:
    at, reason = moment(changed.at, zone), changed.event.reason
    told = texts["why" if reason else "changed"]
    return line(told.format(at=at, by=_by(changed), reason=reason))


def _by(changed: StoredEvent) -> str:
    """Who made a change: of a file's, the author of the commit."""
    return line(changed.event.author or changed.event.by)


def gathered(
    told: Sequence[tuple[str, str, str | None]], language: ChannelLanguage, place: Place
) -> Words:
    """What is told of several messages at once: of each its id, its kind and its task."""
    texts = _TEXTS[language]
    counts = Counter(kind for _, kind, _ in told)
    kinds = ", ".join(f"{_kind(kind, language)} {count}" for kind, count in counts.most_common())
    lines = []
    for kind in counts:
        tasks = dict.fromkeys(task or "–" for _, one, task in told if one == kind)
        names = ", ".join(list(tasks)[:NAMED])
        if len(tasks) > NAMED:
            names = texts["more"].format(names=names, count=len(tasks) - NAMED)
        lines.append(texts["of"].format(kind=_kind(kind, language), names=names))
    if place.url:
        lines.append(place.url)
    return Words(
        subject=texts["gathered"].format(count=len(told), kinds=kinds)[:LONGEST_SUBJECT],
        body="\n".join(lines),
        data={
            "count": len(told),
            "messages": [{"id": one, "kind": kind, "task_id": task} for one, kind, task in told],
            "url": place.url or None,
        },
    )


def test_words(channel: str, by: str, language: ChannelLanguage) -> Words:
    """What somebody sends to find out whether it arrives."""
    texts = _TEXTS[language]
    return Words(
        subject=texts["test"].format(channel=channel),
        body=texts["tested"].format(by=line(by)),
        data={"channel": channel, "by": by},
    )


def undeliverable(message: Message, answer: str, language: ChannelLanguage, place: Place) -> Words:
    """What is told of a message that nobody took."""
    texts = _TEXTS[language]
    return system_words(
        texts["undeliverable"].format(channel=message.channel),
        [line(message.subject), texts["answer"].format(answer=line(answer))],
        {"channel": message.channel, "message": message.id, "task_id": message.task_id},
        place,
    )


def sync_faults(faults: Sequence[str], language: ChannelLanguage, place: Place) -> Words:
    """What is told of faults in task files that are new."""
    told = [line(one) for one in faults[:NAMED]]
    subject = _TEXTS[language]["sync"].format(count=len(faults))
    return system_words(subject, told, {"faults": told, "count": len(faults)}, place)


def all_sound(language: ChannelLanguage, place: Place) -> Words:
    """What is told when no fault is left."""
    return system_words(_TEXTS[language]["sync_recovered"], [], {}, place)


def held_sync(
    reason: str, task_ids: Sequence[str], language: ChannelLanguage, place: Place
) -> Words:
    """What is told of a sync that waits to be confirmed."""
    subject = _TEXTS[language]["held"].format(count=len(task_ids))
    named = list(task_ids[:NAMED])
    return system_words(subject, [line(reason), ", ".join(named)], {"task_ids": named}, place)


def unserved(queue: str, waiting: int, language: ChannelLanguage, place: Place) -> Words:
    """What is told of a queue that nobody serves."""
    texts = _TEXTS[language]
    said = texts["waiting"].format(count=waiting)
    return system_words(
        texts["queue"].format(queue=queue), [said], {"queue": queue, "waiting": waiting}, place
    )


def taken_over(name: str, before: str, language: ChannelLanguage, place: Place) -> Words:
    """What is told where another process schedules, since the one that did has died."""
    subject = _TEXTS[language]["takeover"].format(name=line(name), before=line(before))
    return system_words(subject, [], {"process": name, "before": before}, place)


def system_words(
    subject: str, lines: Sequence[str], data: Mapping[str, Any], place: Place
) -> Words:
    """What is told of no task."""
    return Words(
        subject=subject[:LONGEST_SUBJECT],
        body="\n".join([*lines, *([place.url] if place.url else [])]) or subject,
        data={**data, "url": place.url or None},
    )


def _kind(kind: str, language: ChannelLanguage) -> str:
    return _KINDS[language].get(kind, kind)


def line(text: str) -> str:
    """A text on one line, of signs that can be printed, and not too long."""
    shown = "".join(one if one.isprintable() else " " for one in text[: LONGEST_LINE + 1])
    return shown if len(text) <= LONGEST_LINE else f"{shown[: LONGEST_LINE - 1]}…"


def last_line(error: str) -> str:
    """The word that an error begins with, and its last line."""
    lines = [one for one in error.splitlines() if one.strip()] or [""]
    if len(lines) == 1:
        return line(lines[0])
    return line(f"{error.partition(':')[0]}: {lines[-1].strip()}")


def moment(at: datetime, zone: tzinfo) -> str:
    """A time with its offset, in a zone."""
    return at.astimezone(zone).isoformat(" ", "seconds")


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _address(url: str, task_id: str, execution: ExecutionRow | None) -> str | None:
    """Where a task, or its execution, is shown; None where nobody knows the service's address."""
    if not url:
        return None
    address = f"{url}/tasks/{quote(task_id, safe='')}"
    return f"{address}/executions/{execution.id}" if execution else address
