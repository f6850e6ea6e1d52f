"""When a task fires, in words of the reader's language."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from babel.dates import get_day_names, get_month_names
from cron_descriptor import CasingTypeEnum, ExpressionDescriptor, Options

from taskservice.domain.trigger.crontab import MACROS
from taskservice.web.console.language import LANGUAGES, Language

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
UNITS = (("weeks", 604800), ("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
MOST_TIMES = 4
"""Times of a day that are told one by one."""


def in_words(
    language: Language, trigger_type: str, trigger_args: Mapping[str, Any], zone: str
) -> str:
    """When a trigger fires; its time zone is named where it is another than `zone`."""
    return _in_words(language.code, trigger_type, json.dumps(trigger_args, sort_keys=True), zone)


@lru_cache(maxsize=4096)
def _in_words(code: str, trigger_type: str, said: str, zone: str) -> str:
    language, arguments = LANGUAGES[code], json.loads(said)
    if trigger_type == "date":
        told = _date(language, arguments)
    elif trigger_type == "interval":
        told = _interval(language, arguments)
    else:
        told = _cron(language, arguments)
    own = arguments.get("timezone")
    return f"{told} ({own})" if own and own != zone and trigger_type != "interval" else told


def _date(language: Language, arguments: Mapping[str, Any]) -> str:
    _ = language.gettext
    try:
        moment = datetime.fromisoformat(str(arguments.get("run_date")))
    except ValueError:
        return str(arguments.get("run_date"))
    return _("once at %(time)s") % {"time": moment.strftime("%Y-%m-%d %H:%M:%S %z").strip()}


def _interval(language: Language, arguments: Mapping[str, Any]) -> str:
    _ = language.gettext
    seconds = sum(float(arguments.get(name) or 0) * length for name, length in UNITS)
    for name, length in UNITS:
        count = seconds / length
        if count >= 1 and count == int(count):
            return _counted(language, name, int(count))
    return _("every %(span)s") % {"span": language.duration(seconds)}


def _counted(language: Language, unit: str, count: int) -> str:
    ngettext = language.ngettext
    texts = {
        "weeks": ngettext("every week", "every %(num)s weeks", count),
        "days": ngettext("every day", "every %(num)s days", count),
        "hours": ngettext("every hour", "every %(num)s hours", count),
        "minutes": ngettext("every minute", "every %(num)s minutes", count),
        "seconds": ngettext("every second", "every %(num)s seconds", count),
    }
    return texts[unit] % {"num": language.number(count)}


def _cron(language: Language, arguments: Mapping[str, Any]) -> str:
    fields = _crontab(arguments["crontab"]) if "crontab" in arguments else _fields(arguments)
    if fields is None:
        shown = {name: arguments[name] for name in arguments if name not in _NOT_SAID}
        return " ".join(f"{name}={value}" for name, value in shown.items())
    return _simple(language, *fields) or _described(language, fields)


_NOT_SAID = ("timezone", "jitter", "start_date", "end_date")


def _crontab(text: str) -> list[str] | None:
    """Second, minute, hour, day, month and weekday (0 is Sunday) of a crontab line."""
    words = MACROS.get(text.strip().lower(), text).lower().split()
    return ["0", *words] if len(words) == 5 else None


def _fields(arguments: Mapping[str, Any]) -> list[str] | None:
    """The same of cron fields; None where crontab has no words for them."""
    given = {name: str(value).strip().lower() for name, value in arguments.items()}
    last = max((_ORDER.index(name) for name in given if name in _ORDER), default=0)
    # As APScheduler has it: what is finer than the finest field given is at its least.
    said = {
        name: given.get(name, _LEAST.get(name, "*") if place > last else "*")
        for place, name in enumerate(_ORDER)
    }
    if said.pop("year") != "*" or said.pop("week") != "*":
        return None
    weekday = _weekdays(said["day_of_week"])
    said["day"] = "L" if said["day"] == "last" else said["day"]
    names = ("second", "minute", "hour", "day", "month")
    if weekday is None or not all(_PLAIN.fullmatch(said[name]) for name in names):
        return None
    return [said["second"], said["minute"], said["hour"], said["day"], said["month"], weekday]


_ORDER = ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")
_LEAST = {"month": "1", "day": "1", "hour": "0", "minute": "0", "second": "0"}
_PLAIN = re.compile(r"[0-9*,/-]+|L|(?:[a-z]{3}|[0-9]+)(?:[,-](?:[a-z]{3}|[0-9]+))*")


def _weekdays(text: str) -> str | None:
    """APScheduler's weekdays, which count from Monday = 0, as crontab's, from Sunday = 0."""
    if text == "*":
        return text
    parts = []
    for part in text.replace(" ", "").split(","):
        first, _, last = part.partition("-")
        days = [_weekday(day) for day in ((first, last) if last else (first,))]
        if None in days:
            return None
        low, high = days[0] or 0, days[-1] or 0
        parts += [str((day + 1) % 7) for day in range(low, high + 1)]
    return ",".join(parts)


def _weekday(text: str) -> int | None:
    if text in WEEKDAYS:
        return WEEKDAYS.index(text)
    return int(text) if text.isdigit() and int(text) < 7 else None


def _simple(
    language: Language, second: str, minute: str, hour: str, day: str, month: str, weekday: str
) -> str | None:
    """What a person would say: days, then times of the day; None where it isn't so simple."""
    times = _times(second, minute, hour)
    if times is None or (day != "*" and weekday != "*"):
        return None
    _ = language.gettext
    values = {"times": ", ".join(times), "day": day, "month": ""}
    if month == day == weekday == "*":
        return _("every day at %(times)s") % values
    if month == weekday == "*" and day.isdigit():
        return _("every month on day %(day)s at %(times)s") % values
    if weekday == "*" and day.isdigit() and month.isdigit() and 0 < int(month) < 13:
        name = get_month_names(locale=language.locale)[int(month)]
        return _("every year on %(month)s %(day)s at %(times)s") % {**values, "month": name}
    days = _numbers(weekday)
    if month != "*" or days is None:
        return None
    if days == {1, 2, 3, 4, 5}:
        return _("every weekday at %(times)s") % values
    if days == {0, 6}:
        return _("at weekends at %(times)s") % values
    names = get_day_names("wide" if len(days) == 1 else "abbreviated", locale=language.locale)
    # Babel counts from Monday = 0, and a week is told from Monday on.
    told = [names[place] for place in sorted((number - 1) % 7 for number in days)]
    return _("every %(days)s at %(times)s") % {**values, "days": _(", ").join(told)}


def _times(second: str, minute: str, hour: str) -> list[str] | None:
    hours, minutes = hour.split(","), minute.split(",")
    plain = all(one.isdigit() for one in (*hours, *minutes, second))
    if not plain or len(hours) * len(minutes) > MOST_TIMES:
        return None
    tail = "" if int(second) == 0 else f":{int(second):02}"
    pairs = sorted((int(one), int(other)) for one in hours for other in minutes)
    return [f"{one:02}:{other:02}{tail}" for one, other in pairs]


def _numbers(weekday: str) -> set[int] | None:
    """The weekdays of a crontab field, 0 is Sunday; None where it is no plain list."""
    found: set[int] = set()
    for part in weekday.split(","):
        first, _, last = part.partition("-")
        ends = [_crontab_day(one) for one in ((first, last) if last else (first,))]
        if None in ends:
            return None
        found.update(day % 7 for day in range(ends[0] or 0, (ends[-1] or 0) + 1))
    return found or None


def _crontab_day(text: str) -> int | None:
    if text in WEEKDAYS:
        return WEEKDAYS.index(text) + 1
    return int(text) if text.isdigit() and int(text) < 8 else None


def _described(language: Language, fields: list[str]) -> str:
    """What the library makes of it."""
    options = Options(
        casing_type=CasingTypeEnum.Sentence,
        use_24hour_time_format=True,
        locale_code=_LOCALES[language.code],
    )
    expression = " ".join(fields if fields[0] != "0" else fields[1:])
    try:
        told: str = ExpressionDescriptor(expression, options).get_description()
    except Exception:  # whatever it can't read, it is shown as it stands
        return expression
    for english, name in _names(language.code):
        told = told.replace(english, name)
    return told[:1].lower() + told[1:]


@lru_cache
def _names(code: str) -> list[tuple[str, str]]:
    """English names of days and months, which the library leaves so, with those of a language."""
    if code == "en":
        return []
    english, ours = LANGUAGES["en"].locale, LANGUAGES[code].locale
    pairs = []
    for names in (get_day_names, get_month_names):
        own = names("wide", locale=ours)
        pairs += [(name, own[number]) for number, name in names("wide", locale=english).items()]
    return pairs


_LOCALES = {"en": "en_US", "zh": "zh_CN"}
