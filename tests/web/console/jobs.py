"""Functions that the console's tests have tasks call.

They log instead of printing: pytest puts its own `sys.stdout` in place of the service's.
"""

import asyncio
import logging
from pathlib import Path

OPEN = "open"
FAIL = "fail"

log = logging.getLogger("talk")


async def talk(gate: str, text: str = "中文 <b>first</b>") -> dict[str, object]:
    """Say something, wait until there is a file `gate`, say more; fail where the file says so."""
    log.warning(text)
    while True:
        said = _read(gate)
        if said:
            break
        await asyncio.sleep(0.01)
    log.warning("second")
    if said == FAIL:
        raise ValueError("<script>alert(1)</script> 坏了")
    return {"said": ["中文", "<i>second</i>"], "count": 2}


def _read(gate: str) -> str:
    return Path(gate).read_text() if Path(gate).exists() else ""


def flood(size: int) -> str:
    """Say so many characters."""
    log.warning("x" * size)
    return "<img src=x>"
