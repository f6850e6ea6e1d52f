"""What the API answers with, as the OpenAPI document describes it and msgspec encodes it."""

from taskservice.web.schemas.executions import Execution, ExecutionDetail, ExecutionPage
from taskservice.web.schemas.notifications import Channel, ChannelTest, Message, Silence
from taskservice.web.schemas.overrides import Override, Promotion, Promotions, TaskOverride
from taskservice.web.schemas.paging import paging
from taskservice.web.schemas.plan import Plan
from taskservice.web.schemas.sync import SyncError, SyncReport
from taskservice.web.schemas.system import FieldError, Function, Live, Problem, Ready
from taskservice.web.schemas.tasks import Source, Task, TaskPage, TriggerType
from taskservice.web.schemas.trail import EventPage
from taskservice.web.schemas.workers import Workers

__all__ = [
    "Channel",
    "ChannelTest",
    "EventPage",
    "Execution",
    "ExecutionDetail",
    "ExecutionPage",
    "FieldError",
    "Function",
    "Live",
    "Message",
    "Override",
    "Plan",
    "Problem",
    "Promotion",
    "Promotions",
    "Ready",
    "Silence",
    "Source",
    "SyncError",
    "SyncReport",
    "Task",
    "TaskOverride",
    "TaskPage",
    "TriggerType",
    "Workers",
    "paging",
]
