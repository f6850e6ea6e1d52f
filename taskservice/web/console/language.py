"""The languages of the console: their texts, and how they write times and numbers."""

import gettext
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import cached_property, lru_cache
from io import BytesIO
from pathlib import Path

from babel import Locale
from babel.dates import format_timedelta, get_day_names
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

TRANSLATIONS = Path(__file__).parent / "translations"


@dataclass(frozen=True, kw_only=True)
class Language:
    """One language; `tag` is what HTML calls it, and `name` what it calls itself."""

    code: str
    tag: str
    name: str
    locale: Locale

    @cached_property
    def texts(self) -> gettext.NullTranslations:
        """Its catalogue; that of English is empty, for the texts are English."""
        path = TRANSLATIONS / f"{self.code}.po"
        if not path.exists():
            return gettext.NullTranslations()
        compiled = BytesIO()
        with path.open("rb") as file:
            write_mo(compiled, read_po(file, locale=self.locale))
        compiled.seek(0)
        return gettext.GNUTranslations(compiled)

    @property
    def gettext(self) -> Callable[[str], str]:
        """A text in this language."""
        return self.texts.gettext

    @property
    def ngettext(self) -> Callable[[str, str, int], str]:
        """A text in this language that depends on a number."""
        return self.texts.ngettext

    def number(self, value: float) -> str:
        """A number with its separators."""
        return format_decimal(value, locale=self.locale)

    def moment(self, moment: datetime, zone: tzinfo) -> str:
        """A time to the second, as a clock in `zone` shows it: the same in every language."""
        return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")

    def weekday(self, moment: datetime, zone: tzinfo) -> str:
        """The short name of the day that a time is on."""
        names = get_day_names("abbreviated", locale=self.locale)
        return str(names[moment.astimezone(zone).weekday()])

    def ago(self, moment: datetime, now: datetime) -> str:
        """How far a time is away, such as `in 5 min` or `2 hr ago`."""
        return self.away((moment - now).total_seconds())

    def away(self, seconds: float) -> str:
        """The same for a number of seconds, negative in the past."""
        rounded = timedelta(seconds=round(seconds))
        return format_timedelta(
            rounded, add_direction=True, format="short", threshold=1.2, locale=self.locale
        )

    def duration(self, seconds: float) -> str:
        """A span of time with as much precision as a person wants of it."""
        if seconds < 1:
            return f"{max(0, round(seconds * 1000))} ms"
        if seconds < 60:
            return f"{round(seconds, 1):g} s"
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        parts = ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s"))
        told = [f"{value} {unit}" for value, unit in parts if value]
        return " ".join(told[:2])


LANGUAGES = {
    "en": Language(code="en", tag="en", name="English", locale=Locale.parse("en_GB")),
    "zh": Language(code="zh", tag="zh-CN", name="中文", locale=Locale.parse("zh_CN")),
}


@lru_cache(maxsize=200)
def preferred(accept: str) -> Language:
    """The language that an `Accept-Language` header likes best; English where it has neither."""
    best, most = LANGUAGES["en"], 0.0
    for part in accept.split(","):
        tag, _, parameters = part.strip().partition(";")
        language = LANGUAGES.get(tag.strip().lower().partition("-")[0])
        weight = _weight(parameters)
        if language and weight > most:
            best, most = language, weight
    return best


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0
