"""Variables that look like settings and are none: most likely slips."""

from collections.abc import Iterable
from difflib import get_close_matches

_OF_COMMANDS = ("TOKEN", "SERVER", "ENV_FILE")
_CHANNELS = "CHANNEL_"
_CLOSE = 0.75


def unknown_settings(names: Iterable[str], settings: Iterable[str]) -> dict[str, str]:
    """Those of the names that are no `settings`, in order, each with the nearest one or "".

    All are without `TASKSERVICE_`. The commands' own variables are known, too.
    """
    known = sorted({*settings, *_OF_COMMANDS})
    found = {}
    for name in sorted(names):
        if name not in known and not name.startswith(_CHANNELS):
            close = get_close_matches(name[:100], known, 1, _CLOSE)
            found[name] = close[0] if close else ""
    return found
