"""Schedules in words, as a person of each language would say them."""

from typing import Any

import pytest

from taskservice.web.console.language import LANGUAGES
from taskservice.web.console.schedule import in_words

CASES: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    ("cron", {"crontab": "30 23 * * 1-5"}, "every weekday at 23:30", "工作日 23:30"),
    ("cron", {"crontab": "30 23 * * mon-fri"}, "every weekday at 23:30", "工作日 23:30"),
    (
        "cron", {"day_of_week": "mon-fri", "hour": "23", "minute": 30},
        "every weekday at 23:30", "工作日 23:30",
    ),
    ("cron", {"day_of_week": "0-4", "hour": 7}, "every weekday at 07:00", "工作日 07:00"),
    ("cron", {"crontab": "0 10 * * 0,6"}, "at weekends at 10:00", "周末 10:00"),
    ("cron", {"crontab": "0 10 * * 6-7"}, "at weekends at 10:00", "周末 10:00"),
    ("cron", {"hour": "9", "minute": "0"}, "every day at 09:00", "每天 09:00"),
    ("cron", {"crontab": "0 9,18 * * *"}, "every day at 09:00, 18:00", "每天 09:00, 18:00"),
    ("cron", {"hour": 9, "minute": 5, "second": 30}, "every day at 09:05:30", "每天 09:05:30"),
    ("cron", {"crontab": "@daily"}, "every day at 00:00", "每天 00:00"),
    ("cron", {"crontab": "0 7 * * 7"}, "every Sunday at 07:00", "每星期日 07:00"),
    ("cron", {"day_of_week": "sun", "hour": 7}, "every Sunday at 07:00", "每星期日 07:00"),
    ("cron", {"crontab": "0 7 * * 1,3"}, "every Mon, Wed at 07:00", "每周一、周三 07:00"),
    ("cron", {"crontab": "0 7 1 * *"}, "every month on day 1 at 07:00", "每月 1 日 07:00"),
    ("cron", {"day": 15}, "every month on day 15 at 00:00", "每月 15 日 00:00"),
    (
        "cron", {"crontab": "@yearly"}, "every year on January 1 at 00:00",
        "每年一月 1 日 00:00",
    ),
    ("cron", {"crontab": "*/5 * * * *"}, "every 5 minutes", "每 5 分钟"),
    ("cron", {"minute": "*/10"}, "every 10 minutes", "每 10 分钟"),
    ("cron", {"second": "*/10"}, "every 10 seconds", "每 10 秒"),
    ("cron", {"hour": "*"}, "every hour", "每小时"),
    ("cron", {"week": 2}, "week=2", "week=2"),
    ("cron", {"day": "2nd fri", "hour": 3}, "day=2nd fri hour=3", "day=2nd fri hour=3"),
    ("cron", {"day_of_week": "mon-fri/2", "hour": 3}, "day_of_week=mon-fri/2 hour=3", ""),
    ("interval", {"hours": 1}, "every hour", "每 1 小时"),
    ("interval", {"minutes": 90}, "every 90 minutes", "每 90 分钟"),
    ("interval", {"hours": 48}, "every 2 days", "每 2 天"),
    ("interval", {"seconds": 0.5}, "every 500 ms", "每 500 ms"),
    (
        "date", {"run_date": "2030-01-31T08:00:00"}, "once at 2030-01-31 08:00:00",
        "仅一次，2030-01-31 08:00:00",
    ),
    ("date", {"run_date": "?"}, "?", "?"),
)  # fmt: skip


@pytest.mark.parametrize(("kind", "arguments", "english", "chinese"), CASES)
def test_in_words(kind: str, arguments: dict[str, Any], english: str, chinese: str) -> None:
    assert in_words(LANGUAGES["en"], kind, arguments, "UTC") == english
    if chinese:
        assert in_words(LANGUAGES["zh"], kind, arguments, "UTC") == chinese


def test_another_zone_is_named() -> None:
    arguments = {"crontab": "0 9 * * *", "timezone": "Asia/Shanghai"}
    assert in_words(LANGUAGES["zh"], "cron", arguments, "UTC") == "每天 09:00 (Asia/Shanghai)"
    assert in_words(LANGUAGES["en"], "cron", arguments, "Asia/Shanghai") == "every day at 09:00"


def test_what_is_not_simple_is_told_by_the_library_in_one_language() -> None:
    told = in_words(LANGUAGES["en"], "cron", {"crontab": "15 8-18/2 * 1,7 1-5"}, "UTC")
    assert told.endswith("Monday through Friday, only in January and July")
    told = in_words(LANGUAGES["zh"], "cron", {"crontab": "15 8-18/2 * 1,7 1-5"}, "UTC")
    assert not any(letter.isascii() and letter.isalpha() for letter in told)
    last = in_words(LANGUAGES["en"], "cron", {"day": "last", "hour": 3}, "UTC")
    assert last == "at 03:00, on the last day of the month"


def test_what_nobody_has_words_for_is_shown_as_it_stands() -> None:
    assert in_words(LANGUAGES["en"], "cron", {"crontab": "x y z a b"}, "UTC") == "x y z a b"
    assert in_words(LANGUAGES["en"], "cron", {"crontab": "soon"}, "UTC") == "crontab=soon"
