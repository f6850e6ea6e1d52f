"""From `trigger_type` and `trigger_args`, as written, to a trigger or to all that is wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from apscheduler.triggers.cron.fields import DEFAULT_VALUES

from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.trigger.crontab import crontab_pattern
from taskservice.domain.trigger.kinds import (
    DAWN,
    DUSK,
    CronTrigger,
    DateTrigger,
    IntervalTrigger,
    Trigger,
)
from taskservice.domain.trigger.pattern import Pattern, compile_field, cron_pattern
from taskservice.domain.trigger.reader import Reader, described, nearest

PARTS = {"weeks": 604800, "days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
SHORTEST = timedelta(seconds=0.1)
LONGEST = timedelta(days=36525)  # 100 years
CRON_FIELDS = {
    "year": "1970 to 9998",
    "month": "1 to 12 or jan to dec",
    "day": '1 to 31, "last" or the like of "2nd fri"',
    "week": "1 to 53",
    "day_of_week": "0 to 6 (0 is Monday) or mon to sun",
    "hour": "0 to 23",
    "minute": "0 to 59",
    "second": "0 to 59",
}
MOST = {part: LONGEST // timedelta(seconds=seconds) for part, seconds in PARTS.items()}
MOST_JITTER = LONGEST // timedelta(seconds=1)
DATE_KEYS = ("run_date", "timezone")
_WINDOW = ("start_date", "end_date", "timezone", "jitter")
INTERVAL_KEYS = (*PARTS, *_WINDOW)
CRON_KEYS = (*CRON_FIELDS, *_WINDOW)
CRONTAB_KEYS = ("crontab", "timezone", "jitter")
TRIGGER_KEYS = frozenset({*DATE_KEYS, *INTERVAL_KEYS, *CRON_KEYS, *CRONTAB_KEYS})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common:
    zone: tzinfo
    start: datetime | None
    end: datetime | None
    jitter: float


def parse_trigger(
    trigger_type: object, trigger_args: object, *, zone: tzinfo, anchor: datetime = DAWN
) -> Trigger:
    """Reads a trigger.

    `zone` is that of times which name none; `anchor` as in `Trigger.anchored`, which may still be
    told another.

    Raises Invalid with all faults; their fields are `trigger_type`, `trigger_args`
    and `trigger_args.KEY`.
    """
    faults: list[Fault] = []
    read = _READERS.get(trigger_type) if isinstance(trigger_type, str) else None
    if read is None:
        faults.append(Fault(field="trigger_type", reason=_bad_type(trigger_type)))
    if not isinstance(trigger_args, Mapping):
        reason = f"{described(trigger_args)}; a mapping is expected"
        faults.append(Fault(field="trigger_args", reason=reason))
    elif read is not None:
        reader = Reader(trigger_args)
        trigger = read(reader, zone)
        if trigger is not None and not reader.faults:
            return trigger.anchored(anchor)
        faults.extend(reader.faults)
    raise Invalid(faults)


def _bad_type(trigger_type: object) -> str:
    allowed = f"allowed are {', '.join(_READERS)}"
    if not isinstance(trigger_type, str):
        return f"{described(trigger_type)}; {allowed}"
    return f"{trigger_type[:40]!r} is unknown{nearest(trigger_type, _READERS)}; {allowed}"


def _date(reader: Reader, zone: tzinfo) -> Trigger | None:
    reader.only(DATE_KEYS, "a date")
    if "run_date" not in reader.args:
        reader.fault("run_date", 'is required: an ISO 8601 time ("2030-01-31T09:00:00")')
    run_date = reader.moment("run_date", reader.zone(zone))
    return None if run_date is None else DateTrigger(run_date=run_date)


def _interval(reader: Reader, zone: tzinfo) -> Trigger | None:
    reader.only(INTERVAL_KEYS, "an interval")
    common = _common(reader, zone)
    every = _every(reader)
    if every is None:
        return None
    return IntervalTrigger(
        base=common.start or DAWN,
        every=every,
        least=1 if common.start is None else 0,
        end=common.end,
        jitter=common.jitter,
    )


def _every(reader: Reader) -> timedelta | None:
    before = len(reader.faults)
    total = timedelta()
    for part, seconds in PARTS.items():
        given = reader.number(part, MOST[part], part)
        total += timedelta(seconds=seconds) * (given or 0)
    if len(reader.faults) > before:
        return None
    if not any(part in reader.args for part in PARTS):
        reader.fault(None, f"at least one of {', '.join(PARTS)} is required")
    elif not SHORTEST <= total <= LONGEST:
        reader.fault(
            None,
            f"the interval is {total.total_seconds()} seconds long; "
            f"from {SHORTEST.total_seconds()} seconds to 100 years are allowed",
        )
    else:
        return total
    return None


def _cron(reader: Reader, zone: tzinfo) -> Trigger | None:
    reader.only((*CRON_KEYS, "crontab"), "a cron")
    common = _common(reader, zone)
    pattern = _crontab(reader) if "crontab" in reader.args else _fields(reader)
    if pattern is None:
        return None
    if not pattern.fires():
        reader.fault(None, "never fires: the calendar has no such day")
        return None
    return CronTrigger(
        pattern=pattern,
        zone=common.zone,
        start=common.start or DAWN,
        end=common.end or DUSK,
        jitter=common.jitter,
    )


def _crontab(reader: Reader) -> Pattern | None:
    for key in CRON_KEYS:
        if key in reader.args and key not in CRONTAB_KEYS:
            reader.fault(key, "can't stand beside `crontab`; drop one of the two")
    text = reader.text("crontab", 'five fields ("0 9 * * 1-5") or @daily and the like')
    if text is None:
        return None
    try:
        return crontab_pattern(text)
    except Invalid as error:
        reader.faults.extend(error.faults)
        return None


def _fields(reader: Reader) -> Pattern | None:
    given = [name for name in CRON_FIELDS if name in reader.args]
    if not given:
        reader.fault(None, f"at least one of {', '.join(CRON_FIELDS)}, or crontab, is required")
        return None
    # APScheduler's rule: what is finer than the finest field given is at its lowest.
    finest = list(CRON_FIELDS).index(given[-1])
    read = [
        _field(reader, name) if name in reader.args else "*" if index < finest else default
        for index, (name, default) in enumerate(_DEFAULTS)
    ]
    expressions = [one for one in read if one is not None]
    return cron_pattern(*expressions) if len(expressions) == len(read) else None


_DEFAULTS = [(name, str(DEFAULT_VALUES[name])) for name in CRON_FIELDS]


def _field(reader: Reader, name: str) -> str | None:
    value = reader.args[name]
    allowed = f"allowed are {CRON_FIELDS[name]}, and expressions of them as APScheduler has them"
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= 1e15:  # Python refuses to write out very long numbers
            reader.fault(name, f"the number is out of range; {allowed}")
            return None
        expression: str | None = str(value)
    else:
        expression = reader.text(name, "a whole number or text")
    if expression is None:
        return None
    try:
        compile_field(name, expression)
    except ValueError as error:
        reason = str(error).rpartition(": ")[2][:200]
        reader.fault(name, f"{expression[:40]!r} can't be taken: {reason}; {allowed}")
        return None
    return expression


def _common(reader: Reader, zone: tzinfo) -> _Common:
    """The keys of intervals and crons alike."""
    zone = reader.zone(zone)
    start = reader.moment("start_date", zone)
    end = reader.moment("end_date", zone)
    if start is not None and end is not None and end < start:
        reader.fault("end_date", "lies before start_date: it would never fire")
    jitter = reader.number("jitter", MOST_JITTER, "seconds")
    return _Common(zone=zone, start=start, end=end, jitter=float(jitter or 0))


_READERS: dict[str, Callable[[Reader, tzinfo], Trigger | None]] = {
    "date": _date,
    "interval": _interval,
    "cron": _cron,
}


def canonical_trigger(trigger_type: str, trigger_args: Mapping[str, object]) -> object:
    """A normal form to compare triggers by: hashable, and JSON could hold it.

    Equal only if the meaning is: `hour: 9` and `hour: "9"`, `seconds: 60` and
    `seconds: 60.0`. Takes any arguments, valid or not.
    """
    named = ((key if isinstance(key, str) else described(key), key) for key in trigger_args)
    return trigger_type, tuple(
        (name, _canonical(name, trigger_args[key]))
        for name, key in sorted(named, key=lambda pair: pair[0])
    )


def _canonical(key: str, value: object) -> object:
    if isinstance(value, bool) or value is None:
        return ("constant", str(value))
    if isinstance(value, float):
        return int(value) if value.is_integer() and key not in CRON_FIELDS else value
    if isinstance(value, int):
        if abs(value) >= 1e15:  # Python refuses to write out very long numbers
            return ("integer", hex(value))
        return str(value) if key in CRON_FIELDS else value
    if isinstance(value, str):
        return " ".join(value.lower().split()) if key in (*CRON_FIELDS, "crontab") else value
    if isinstance(value, Mapping):
        return canonical_trigger("mapping", value)
    if isinstance(value, list | tuple):
        return ("list", *(_canonical("", one) for one in value))
    return (type(value).__name__, str(value))
