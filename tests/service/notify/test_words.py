"""What people read, in both languages."""

from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from taskservice.domain.incidents import QUIET, Alert
from taskservice.domain.rules import TOPICS
from taskservice.domain.trail import Event
from taskservice.service.notify import words
from taskservice.service.notify.words import Occasion, Place, gathered, last_line, line, words_of
from taskservice.settings import ChannelLanguage
from taskservice.storage.events import StoredEvent
from taskservice.storage.messages import Message
from tests.storage.samples import NOW, UGLY, make_execution, make_state

PLACE = Place(zone=ZoneInfo("Asia/Shanghai"), url="https://tasks.example/x")
FAILED = make_execution(
    "e1", status="failed", error="raised: Traceback (most recent call last)\n  x\nOSError: 满了",
    error_kind="raised",
)  # fmt: skip


def test_a_failure_in_chinese() -> None:
    changed = StoredEvent(
        id="v", at=NOW,
        event=Event(
            action="paused", task_id="notice", by="file", via="file", author="安", reason="x"
        ),
    )  # fmt: skip
    occasion = Occasion(
        kind="failure", state=make_state(), alert=Alert(failures=3, since=NOW, incident="i"),
        execution=FAILED, changed=changed,
    )  # fmt: skip
    found = words_of(occasion, "zh", PLACE)
    assert found.subject == "失败：定时通知任务"
    assert found.body.splitlines() == [
        "任务 notice",
        "错误：raised: OSError: 满了",
        "连续失败 3 次，自 2026-03-04 13:06:07+08:00 起",
        "最近由 安 于 2026-03-04 13:06:07+08:00 更改：x",
        "下次执行：2026-03-04 13:06:07+08:00",
        "https://tasks.example/x/tasks/notice/executions/e1",
    ]
    assert found.data["changed_by"] == "安"
    assert found.data["error"] == "raised: OSError: 满了"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", [*TOPICS, "reminder"])
def test_every_kind_has_its_words(kind: str, language: ChannelLanguage) -> None:
    state = make_state(name=UGLY[:90], paused=kind == "late", next_run_time=None)
    occasion = Occasion(
        kind=kind, state=state, alert=replace(QUIET, since=NOW), execution=FAILED, seconds=1.5
    )
    found = words_of(occasion, language, Place(zone=ZoneInfo("UTC"), url=""))
    assert found.subject.isprintable()
    assert all(one.isprintable() for one in found.body.splitlines())
    assert found.data["url"] is None
    assert ("1.5" in found.body) == (kind in ("late", "long", "short"))


def test_what_is_quoted_is_one_line_and_not_too_long() -> None:
    assert line("a\x1b[2J\n::error::\u202eb") == "a [2J ::error:: b"
    assert len(line("x" * 10_000)) == words.LONGEST_LINE
    assert last_line("raised: x") == "raised: x"
    assert last_line("raised: a\n\n  b  \n\n") == "raised: b"
    assert last_line("") == ""
    state = make_state(name="x" * 100)
    occasion = Occasion(kind="failure", state=state, alert=QUIET, execution=FAILED)
    assert len(words_of(occasion, "en", PLACE).subject) < words.LONGEST_SUBJECT


def test_many_at_once_are_counted_and_named() -> None:
    told = [(f"m{n}", "failure", f"t{n}") for n in range(30)] + [("m", "recovery", "t0")]
    found = gathered(told, "en", PLACE)
    assert found.subject == "31 more messages: failed 30, recovered 1"
    first, second, url = found.body.splitlines()
    assert first.startswith("failed: t0, t1, ") and first.endswith("t19 and 10 more")
    assert (second, url) == ("recovered: t0", PLACE.url)
    assert len(found.data["messages"]) == 31
    assert gathered(told[:2], "zh", Place(zone=ZoneInfo("UTC"), url="")).body == "失败：t0, t1"


def test_the_service_s_own_troubles() -> None:
    message = Message(
        id="m", channel="ops", kind="failure", subject="s", body="b", data={}, created_at=NOW,
        task_id="t", due=NOW + timedelta(days=1),
    )  # fmt: skip
    for language in ("en", "zh"):
        for told in (
            words.undeliverable(message, "500", language, PLACE),
            words.sync_faults(["a.yaml:1: x\ny"] * 50, language, PLACE),
            words.all_sound(language, PLACE),
            words.held_sync("why", ["a"] * 50, language, PLACE),
            words.unserved("reports", 3, language, PLACE),
            words.taken_over("b", "a", language, PLACE),
        ):
            assert told.subject and told.body.endswith(PLACE.url)
            assert len(told.body.splitlines()) <= words.NAMED + 1
