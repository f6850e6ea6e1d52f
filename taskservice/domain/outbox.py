"""When what waits to be sent to a channel is sent: at most three messages a minute, and again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

MINUTE = timedelta(seconds=60)
MOST = 3
"""How many messages go to a channel within a minute; the last of them gathers all that wait."""

AGAIN = 10.0
LONGEST = 3600.0
GIVEN_UP = 86400.0
"""Seconds before what was not taken is sent again, at most, and in all until it is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is done now with what waits for a channel.

    `send` are sent, `gather` are told of in one message, and `hold` are looked at again at `until`.
    """

    send: tuple[str, ...] = ()
    gather: tuple[str, ...] = ()
    hold: tuple[str, ...] = ()
    until: datetime | None = None


def choose(
    *,
    again: Sequence[str],
    fresh: Sequence[str],
    held: Sequence[str],
    tried: Mapping[str, datetime],
    now: datetime,
) -> Choice:
    """What is sent now of messages whose time has come, so that no minute has more than `MOST`.

    `again` were sent before and not taken, `fresh` were never looked at, and `held` were; `tried`
    is when messages were sent within the last minute.
    """
    recent = {key: at for key, at in tried.items() if at > now - MINUTE}
    send: list[str] = []
    late: list[str] = []
    for key in again:
        if key in recent or len(recent) < MOST:
            recent[key] = now
            send.append(key)
        else:
            late.append(key)
    gather: tuple[str, ...] = ()
    waiting = [*held, *fresh]
    if held and len(recent) < MOST:
        # The minute is over: one message tells of all that came.
        gather, waiting = tuple(waiting), []
    elif not held:
        room = max(MOST - 1 - len(recent), 0)
        send += waiting[:room]
        recent |= dict.fromkeys(waiting[:room], now)
        waiting = waiting[room:]
    if len(gather) == 1:
        send, gather = [*send, *gather], ()
    hold = (*late, *waiting)
    until = min(recent.values()) + MINUTE if hold else None
    return Choice(send=tuple(send), gather=gather, hold=hold, until=until)


def wait_after(attempts: int) -> float | None:
    """Seconds from an attempt that failed, the so manieth, to the next; None: it is given up."""
    waits = [min(AGAIN * 2**number, LONGEST) for number in range(min(attempts, 40))]
    return waits[-1] if attempts <= 40 and sum(waits) <= GIVEN_UP else None
