"""The rules of tasks that name none, as the settings say them."""

from taskservice.domain.check import Refused
from taskservice.domain.rules import ANYBODY, NOBODY, NOTIFY, Notify, channel_faults
from taskservice.domain.task import Task
from taskservice.engine.signals import RulesOf
from taskservice.settings import PREFIX, Settings, SettingsError
from taskservice.sync.text.value import read_value

VARIABLE = f"{PREFIX}NOTIFY"


def rules_in_service(settings: Settings) -> RulesOf:
    """Who is told of a task, where channels are known. Raises SettingsError, in one line."""
    default = _default_rules(settings)
    if faults := channel_faults(default, settings.channels):
        raise _wrong(settings.notify, "; ".join(fault.reason for fault in faults))
    return _rules_by(default)


def rules_on_worker(settings: Settings) -> RulesOf:
    """The same on a worker, which may not have the service's variable: then it can't know."""
    return _rules_by(_default_rules(settings) if settings.notify else ANYBODY)


def _default_rules(settings: Settings) -> Notify:
    text = settings.notify
    if not text.strip():
        return NOBODY
    try:
        value = read_value(text)
        notify: Notify = NOTIFY.parse(NOBODY.said if value is None else value)
    except ValueError as error:
        raise _wrong(text, str(error)) from None
    except Refused as refused:
        faults = refused.faults("notify")
        raise _wrong(text, "; ".join(str(fault) for fault in faults)) from None
    return notify


def _wrong(text: str, reason: str) -> SettingsError:
    told = " ".join(f"{VARIABLE} is {text[:200]!r}: {reason}".split())
    return SettingsError(told)


def _rules_by(default: Notify) -> RulesOf:
    def rules_of(task: Task) -> Notify:
        return default if task.notify is None else task.notify

    return rules_of
