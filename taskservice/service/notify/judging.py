"""What was seen is judged by the rules, in one place, and what is told goes into the outbox."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from taskservice.domain.incidents import QUIET, Alert, Seen, judge, recovers, remind
from taskservice.domain.rules import Notify, Rule
from taskservice.domain.state import TaskState
from taskservice.engine.engine import Engine
from taskservice.engine.signals import RulesOf
from taskservice.service.moments import now_utc
from taskservice.service.notify.silences import RECOVERY, end
from taskservice.service.notify.words import Occasion, Place, words_of
from taskservice.settings import Channel
from taskservice.storage import alerts as rows
from taskservice.storage import events, messages, signals, tasks
from taskservice.storage import executions as log
from taskservice.storage.alerts import Alerts, Silence
from taskservice.storage.database import Connection, Database
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.messages import Message
from taskservice.storage.rows import new_id
from taskservice.storage.signals import Signal

AT_ONCE = 500
"""How many signals, and how many reminders, are judged in a transaction."""


class _Told(NamedTuple):
    """What is told by a rule, with the id of the message."""

    key: str
    rule: Rule
    occasion: Occasion


class Judge:
    """Judges where this process schedules; `rules_of` says who is told of a task.

    The signals, the state of the rules, and the messages change in one transaction, on rows that
    it locks: whatever dies, each signal is judged once.
    """

    def __init__(
        self,
        database: Database,
        engine: Engine,
        rules_of: RulesOf,
        channels: Mapping[str, Channel],
        *,
        place: Place,
    ) -> None:
        self._database = database
        self._engine = engine
        self._rules_of = rules_of
        self._channels = channels
        self._place = place

    async def look(self) -> None:
        """Judge what there is, where this process schedules. Raises `Unavailable`."""
        while self._engine.leads:
            # Most of the time there is nothing, and a read is in nobody's way.
            async with self._database.read() as connection:
                seen = await signals.are_there(connection, now_utc())
                failing = await rows.to_remind(connection, now_utc(), limit=1)
            judged = await self._database.write(self.judge) if seen else 0
            reminded = await self._database.write(self.remind) if failing else 0
            if max(judged, reminded) < AT_ONCE:
                return

    async def judge(self, connection: Connection) -> int:
        """Judge some signals; how many it were."""
        now = now_utc()
        found = await signals.take(connection, now, limit=AT_ONCE)
        if not found:
            return 0
        task_ids = {one.task_id for one in found}
        states = await tasks.states_of(connection, sorted(task_ids))
        executions = await connection.run_sync(log.held, sorted({o.execution_id for o in found}))
        before = await rows.alerts(connection, task_ids)
        silences = await rows.silences(connection, task_ids, now)
        after: Alerts = {}
        told: list[_Told] = []
        judged: list[int] = []
        for signal in found:
            execution, state = executions.get(signal.execution_id), states.get(signal.task_id)
            if execution and (later := _not_yet(signal, execution, now)):
                await signals.look_again(connection, signal.id, later)
                continue
            judged.append(signal.id)
            seen = _seen(signal, execution) if execution else None
            if state is None or seen is None:
                continue
            known = after.setdefault(state.id, dict(before.get(state.id, {})))
            silence, recovered = silences.get(state.id), recovers(known.values(), seen)
            notify = self._rules_of(state.task)
            told += self._judge_task(notify, known, seen, state, execution, silence)
            if silence and recovered:
                await end(connection, state.id, RECOVERY, now)
                del silences[state.id]
        await rows.save_alerts(connection, before, after)
        await self._put(connection, told, now)
        await signals.drop(connection, judged)
        return len(found)

    def _judge_task(
        self,
        notify: Notify,
        known: dict[str, Alert],
        seen: Seen,
        state: TaskState,
        execution: ExecutionRow | None,
        silence: Silence | None,
    ) -> list[_Told]:
        """What the rules of a task tell of what was seen; `known` is left as they stand then."""
        told = []
        for name, rule in notify.rules.items():
            alert = known.get(name, QUIET)
            incident = new_id()
            known[name], topics = judge(
                rule, alert, seen, incident=incident, silenced=silence is not None
            )
            for topic in topics:
                # A recovery is of what was told before.
                of = alert if topic == "recovery" else known[name]
                occasion = Occasion(
                    kind=topic, state=state, alert=of, execution=execution, seconds=seen.seconds
                )
                key = incident if topic == "failure" else new_id()
                told.append(_Told(key, rule, occasion))
        for gone in known.keys() - notify.rules.keys():
            known[gone] = QUIET
        return told

    async def remind(self, connection: Connection) -> int:
        """Tell again of some failures that go on; of how many tasks it was."""
        now = now_utc()
        task_ids = await rows.to_remind(connection, now, limit=AT_ONCE)
        if not task_ids:
            return 0
        states = await tasks.states_of(connection, task_ids)
        before = await rows.alerts(connection, task_ids)
        silences = await rows.silences(connection, task_ids, now)
        after: Alerts = {}
        told: list[_Told] = []
        for task_id, known in before.items():
            state = states.get(task_id)
            after[task_id] = dict(known)
            rules = self._rules_of(state.task).rules if state else {}
            for name, alert in known.items():
                if alert.remind_at is None or alert.remind_at > now:
                    continue
                if state is None or name not in rules:
                    after[task_id][name] = QUIET
                    continue
                quiet = task_id in silences or state.task.paused or state.retired_at is not None
                after[task_id][name], tells = remind(rules[name], alert, now, quiet=quiet)
                if tells:
                    occasion = Occasion(kind="reminder", state=state, alert=alert)
                    told.append(_Told(new_id(), rules[name], occasion))
        await rows.save_alerts(connection, before, after)
        await self._put(connection, told, now)
        return len(task_ids)

    async def _put(self, connection: Connection, told: Sequence[_Told], now: datetime) -> None:
        """Put what is told into the outbox, with who changed what fails last."""
        failing = {o.occasion.state.id for o in told if o.occasion.kind in ("failure", "reminder")}
        changes = await events.last_changes(connection, failing)
        await messages.add(
            connection,
            [
                self._message(
                    one.key, one.rule,
                    replace(one.occasion, changed=changes.get(one.occasion.state.id)), now,
                )
                for one in told
            ],
        )  # fmt: skip

    def _message(self, key: str, rule: Rule, occasion: Occasion, now: datetime) -> Message:
        channel = self._channels.get(rule.to)
        words = words_of(occasion, channel.language if channel else "en", self._place)
        return Message(
            id=key, channel=rule.to, kind=occasion.kind, subject=words.subject, body=words.body,
            data=words.data, created_at=now, task_id=occasion.state.id,
        )  # fmt: skip


def _not_yet(signal: Signal, execution: ExecutionRow, now: datetime) -> datetime | None:
    """When to look again at what may be over its limit later."""
    if signal.what != "long" or not execution.is_open or signal.seconds is None:
        return None
    limit = timedelta(seconds=signal.seconds)
    due = (execution.start_time if execution.ran else now) + limit
    return due if due > now else None


def _seen(signal: Signal, execution: ExecutionRow) -> Seen | None:
    """What a signal says; None where it turns out that there is nothing to be seen."""
    begin, end = execution.start_time, execution.end_time
    match signal.what:
        case "completed":
            took = (end - begin).total_seconds() if end else None
            return Seen(what="completed", at=end or begin, seconds=took)
        case "long" if end is not None and signal.seconds is not None:
            if (end - begin).total_seconds() <= signal.seconds or not execution.ran:
                return None
        case "late" if signal.due is not None:
            # It waited in a queue, and began in time.
            if execution.ran and begin <= signal.due:
                return None
    return Seen(what=signal.what, at=end or begin, seconds=signal.seconds)
