"""A service with something to see: tasks of all kinds, their past, overrides and faults."""

import json
import os
import random
import sqlite3
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.acceptance.process import ServiceProcess, wait_for

ENVIRON = {
    "TASKSERVICE_IMPORT_PATH": str(Path(__file__).parent / "jobs"),
    "TASKSERVICE_FUNCTIONS": "browser_jobs.*,taskservice.examples.*",
}
"""The functions that the tests' tasks call."""

EXPORT = """\
name: Invoice export
task_type: export
trigger_type: cron
trigger_args: {crontab: "*/15 * * * *"}
func_path: browser_jobs.fail
func_args: {reason: "503 Service Unavailable: https://books.example/api/invoices"}
retries: {max: 2, delay: 30, backoff: 2}
timeout: 120
description: Sends the invoices of the last quarter of an hour to the accountants.
tags: [finance]
"""
FILES = {
    "heartbeat.yaml": """\
name: Heartbeat
task_type: check
trigger_type: interval
trigger_args: {minutes: 10}
func_path: taskservice.examples.simple_task
func_args: {message: still here}
description: Fires every ten minutes.
tags: [check]
""",
    "backup.yaml": """\
# The whole database, when nobody is at work.
name: 每日备份
task_type: backup
trigger_type: cron
trigger_args: {day_of_week: mon-fri, hour: "23", minute: "30", timezone: Asia/Shanghai}
func_path: taskservice.examples.simple_task
func_args: {message: "backup to ${BACKUP_TARGET:-/srv/backup}"}
timeout: 3600
executor: process
description: 工作日每晚23:30执行备份
tags: [backup]
""",
    "morning-notice.yaml": """\
name: 定时通知任务
task_type: notification
trigger_type: cron
trigger_args: {hour: "9", minute: "0", timezone: Asia/Shanghai}
func_path: taskservice.examples.notification_task
func_args: {user_id: user123, message: Good morning, channel: email}
description: 每天早上9点发送通知
""",
    "new-year.yaml": """\
name: 新年倒计时
task_type: notification
trigger_type: date
trigger_args: {run_date: "2038-01-01T00:00:00", timezone: Europe/Berlin}
func_path: taskservice.examples.simple_task
func_args: {message: Happy New Year!}
""",
    "finance/reports.yaml": """\
defaults:
  task_type: report
  func_path: taskservice.examples.data_processing_task
  retries: {max: 3, delay: 10, backoff: 2, max_delay: 600}
  tags: [finance, report]
tasks:
  daily-report:
    name: Daily report
    trigger_type: cron
    trigger_args: {crontab: "30 2 * * *", timezone: Europe/Berlin}
    func_args: {data_id: sales, process_type: daily}
  weekly-report:
    name: Weekly report
    trigger_type: cron
    trigger_args: {crontab: "0 7 * * 1", timezone: Europe/Berlin}
    func_args: {data_id: sales, process_type: weekly}
""",
    "finance/invoice-export.yaml": EXPORT,
    "import-orders.yaml": """\
name: Import orders
task_type: import
trigger_type: interval
trigger_args: {minutes: 30}
func_path: browser_jobs.import_orders
func_args: {batch: 7}
executor: process
description: Takes new orders from the ERP.
tags: [shop]
""",
    "night-cleanup.yaml": """\
name: Night cleanup
task_type: cleanup
trigger_type: cron
trigger_args: {crontab: "0 0 * * *"}
func_path: taskservice.examples.data_processing_task
func_args: {data_id: sessions, process_type: delete}
""",
}
BROKEN = """\
name: Stock level
task_type: report
trigger_type: cron
trigger_args:
  hour: on
  minute: 61
func_path: taskservice.examples.data_procesing_task
func_args: {data_id: stock, process_type: level}
tag: [shop]
"""
WITH_PAST = 300
"""So many tasks have executions of the past: no page shows more."""


def many_files(count: int) -> dict[str, str]:
    """Files of 100 tasks each; a third of the tasks fire at midnight, as people have it."""
    chance = random.Random(7)
    tasks = []
    for number in range(count):
        hour = 0 if chance.random() < 0.35 else chance.randrange(24)
        minute = chance.choice((0, 0, 0, 15, 30, 45, 5))
        crontab = f"{minute} {hour} * * {chance.choice(('*', '*', '1-5', '1'))}"
        department = chance.choice(("sales", "stock", "billing", "shop", "support"))
        tasks.append(
            f"  {department}-{number:05d}:\n"
            f"    name: {department.capitalize()} of region {number}\n"
            f"    trigger_args: {{crontab: '{crontab}', timezone: Europe/Berlin}}\n"
            f"    func_args: {{data_id: {department}, process_type: daily}}\n"
            f"    tags: [{department}]\n"
        )
    head = (
        "defaults: {task_type: report, trigger_type: cron, "
        "func_path: taskservice.examples.data_processing_task}\ntasks:\n"
    )
    return {
        f"regions/{start // 100:03d}.yaml": head + "".join(tasks[start : start + 100])
        for start in range(0, count, 100)
    }


def task(**fields: object) -> str:
    """The text of a task file: hourly, but for what is given."""
    hourly: dict[str, object] = {
        "name": "Greeting",
        "task_type": "test",
        "trigger_type": "interval",
        "trigger_args": {"hours": 1},
        "func_path": "browser_jobs.greet",
    }
    return json.dumps({**hourly, **fields}, ensure_ascii=False, indent=2)


def declare(service: ServiceProcess, files: Mapping[str, str], commit: str = "") -> None:
    """Write task files, commit them where a subject is given, and wait until they are live."""
    for name, text in files.items():
        (service.folder / name).parent.mkdir(parents=True, exist_ok=True)
        service.write(name, text)
    if commit:
        _git(service.folder, "add", "--all")
        _git(service.folder, "commit", "--quiet", "--message", commit)
    service.send("POST", "/sync")


def _git(folder: Path, *arguments: str) -> None:
    person = ("-c", "user.name=Li Na", "-c", "user.email=lina@example.org")
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", *person, *arguments], cwd=folder, check=True, env=os.environ | quiet)


def fill(service: ServiceProcess, database: Path, *, tasks: int = 10) -> None:
    """Make at least ten tasks, one of them running, and something of all that can go wrong."""
    more = many_files(tasks - 10) if tasks > 10 else {}
    _git(service.folder, "init", "--quiet")
    files = {**FILES, **more, "old-import.yaml": FILES["night-cleanup.yaml"]}
    declare(service, files, "Declare what runs at night")
    service.send(
        "POST",
        "/task-manage/",
        201,
        json={
            "id": "resend-mails",
            "name": "Resend mails",
            "task_type": "notification",
            "trigger_type": "interval",
            "trigger_args": {"hours": 6},
            "func_path": "taskservice.examples.simple_task",
            "func_args": {"message": "resent"},
        },
    )
    (service.folder / "old-import.yaml").unlink()
    _override(service)
    remember(database, datetime.now(UTC))
    declare(service, {"finance/stock-level.yaml": BROKEN}, "Report the stock level")
    service.send("POST", "/task-manage/invoice-export/trigger", 202)
    service.send("POST", "/task-manage/import-orders/trigger", 202)
    wait_for("the old import is retired", lambda: service.get("/sync")["retired"])
    wait_for("the export has failed", lambda: _has_status(service, "invoice-export", "failed"))


def _override(service: ServiceProcess) -> None:
    service.send(
        "POST",
        "/task-manage/night-cleanup/pause",
        params={"reason": "the disk is being replaced", "until": "3d"},
    )
    service.send(
        "PUT",
        "/task-manage/daily-report",
        params={"reason": "the sales figures come later during the move"},
        json={"func_args": {"data_id": "sales", "process_type": "hourly"}, "timeout": 300},
    )
    service.send(
        "PUT",
        "/task-manage/invoice-export",
        params={"reason": "their API answers slowly this week"},
        json={"timeout": 600, "trigger_type": "cron", "trigger_args": {"crontab": "0 * * * *"}},
    )
    changed = EXPORT.replace("timeout: 120", "timeout: 90")
    declare(service, {"finance/invoice-export.yaml": changed}, "Give the invoice export less time")


def _has_status(service: ServiceProcess, task_id: str, status: str) -> bool:
    return bool(service.get(f"/task-manage/{task_id}/logs", status=status)["total"])


def remember(database: Path, now: datetime) -> None:
    """Write executions of the last day into the log, as if the service had run for so long."""
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        ids = [row[0] for row in connection.execute("select id from task_manage order by id")]
        rows = [row for task_id in ids[:WITH_PAST] for row in _past(task_id, now)]
        connection.executemany(
            "insert into task_execution_log (id, task_id, start_time, end_time, status, result,"
            " error, scheduled_time, triggered_by) values (?, ?, ?, ?, ?, ?, ?, ?, 'schedule')",
            rows,
        )
        connection.commit()


def _past(task_id: str, now: datetime) -> Iterator[tuple[str | None, ...]]:
    chance = random.Random(task_id)
    usual = chance.choice((0.08, 0.6, 4.0, 45.0, 400.0))
    for back in range(26, 0, -1):
        scheduled = now - timedelta(minutes=54 * back + chance.randrange(20))
        start = scheduled + timedelta(milliseconds=chance.randrange(3, 40))
        end = start + timedelta(seconds=usual * chance.lognormvariate(0, 0.45))
        status = chance.choices(("completed", "failed", "skipped", "missed"), (40, 3, 1, 1))[0]
        error = {
            "failed": "raised: ConnectionError: books.example did not answer",
            "skipped": "skipped: all instances were busy",
            "missed": "missed: later than the grace of 3600 s",
        }.get(status)
        if status in ("skipped", "missed"):
            end = start
        identity = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        result = '"done"' if status == "completed" else None
        times = [moment.strftime("%Y-%m-%d %H:%M:%S.%f") for moment in (start, end, scheduled)]
        yield identity, task_id, times[0], times[1], status, result, error, times[2]
