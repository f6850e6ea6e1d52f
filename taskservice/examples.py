"""Three functions to try tasks with; your own may look like them.

A task names one by `func_path`, for example `taskservice.examples.simple_task`,
and gives it `func_args`. What a function prints and logs is kept as the output of
its execution; what it returns, as the result; what it raises, as the error.
"""

import asyncio
import logging

from taskservice import current_execution, task

log = logging.getLogger(__name__)


@task
def simple_task(message: str) -> str:
    """Print a message and return it."""
    print(f"simple_task says: {message}")
    return message


@task
def data_processing_task(data_id: str, process_type: str) -> dict[str, str]:
    """Pretend to process some data, and return what was done."""
    log.info("processing %s (%s)", data_id, process_type)
    return {"data_id": data_id, "process_type": process_type, "state": "processed"}


@task(description="Pretend to send a message to a user.")
async def notification_task(user_id: str, message: str, channel: str) -> dict[str, str]:
    """Pretend to send a message to a user over a channel such as `email`."""
    await asyncio.sleep(0)
    print(f"to {user_id} by {channel}: {message} (execution {current_execution().id})")
    return {"user_id": user_id, "channel": channel, "state": "sent"}
