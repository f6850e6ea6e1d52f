"""Flask-APScheduler with its memory store and its own REST API, for gunicorn: `app`."""

import os

from flask import Flask
from flask_apscheduler import APScheduler

from benchmarks.peers import FLASK_JOBS_VARIABLE
from benchmarks.tasks import mixed


def nothing() -> None:
    """What the jobs call: does nothing."""


def _make() -> Flask:
    made = Flask(__name__)
    made.config["SCHEDULER_API_ENABLED"] = True
    scheduler = APScheduler()
    scheduler.init_app(made)
    for task in mixed(int(os.environ[FLASK_JOBS_VARIABLE])):
        scheduler.add_job(id=task.id, func=nothing, trigger=task.trigger.type, **task.trigger.args)
    scheduler.start()
    return made


app = _make()
