"""The use cases and the life cycle: the one door through which API and console go."""

from taskservice.engine.functions import FunctionInfo, ParameterInfo
from taskservice.service.contributions import Promotions
from taskservice.service.credentials import FRESH_SECONDS, Credentials, Principal
from taskservice.service.events import Event, Subscription
from taskservice.service.forecasting import Forecast, Trial
from taskservice.service.moments import now_utc
from taskservice.service.notify.notifications import ChannelReport
from taskservice.service.people import People
from taskservice.service.preconditions import Precondition
from taskservice.service.promoting import Promotion
from taskservice.service.provenance import Provenance, TaskOverride
from taskservice.service.reasons import LONGEST_REASON
from taskservice.service.service import Service
from taskservice.service.sessions import EndedSessions
from taskservice.service.trail import TrailFilter
from taskservice.service.workers import ListedWorker, WorkersReport

__all__ = [
    "FRESH_SECONDS",
    "LONGEST_REASON",
    "ChannelReport",
    "Credentials",
    "EndedSessions",
    "Event",
    "Forecast",
    "FunctionInfo",
    "ListedWorker",
    "ParameterInfo",
    "People",
    "Precondition",
    "Principal",
    "Promotion",
    "Promotions",
    "Provenance",
    "Service",
    "Subscription",
    "TaskOverride",
    "TrailFilter",
    "Trial",
    "WorkersReport",
    "now_utc",
]
