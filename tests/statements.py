"""The statements that the tests send to MariaDB, read as MySQL 8 would read them.

They are read by the grammar of MySQL Workbench, from a package of npm's (`tests/mysql_grammar`,
which `make test` installs): it refuses what MariaDB alone knows, and a word that is reserved in
MySQL 8. Functions are no matter of a grammar: those that MariaDB alone has are listed here.
"""

import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

FOLDER = Path(__file__).parent / "mysql_grammar"

# The manual of MariaDB, "Function Differences Between MariaDB and MySQL", and those of its Oracle
# mode and of its sequences.
_MARIADB_ALONE = re.compile(
    r"\b(ADD_MONTHS|CHR|COLUMN_(?:ADD|CHECK|CREATE|DELETE|EXISTS|GET|JSON|LIST)|CRC32C|"
    r"DECODE_ORACLE|JSON_(?:ARRAY_INTERSECT|COMPACT|DETAILED|EQUALS|EXISTS|KEY_VALUE|LOOSE|"
    r"NORMALIZE|OBJECT_FILTER_KEYS|OBJECT_TO_ARRAY|QUERY)|KDF|LASTVAL|LENGTHB|MEDIAN|"
    r"NATURAL_SORT_KEY|NEXTVAL|NVL2?|PERCENTILE_(?:CONT|DISC)|SETVAL|SFORMAT|SUBSTRB|SYS_GUID|"
    r"TO_CHAR|TO_NUMBER|TRIM_ORACLE|VALUE)\s*\(",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(r"%(\(\w+\))?s")
# SQLAlchemy adds it for MariaDB alone.
_ALEMBIC = re.compile(r" RETURNING alembic_version\.version_num$")


def listen() -> set[str]:
    """A set that every statement to MariaDB joins from now on, one of each form."""
    sent: set[str] = set()

    @event.listens_for(Engine, "before_cursor_execute")
    def note(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if connection.dialect.name != "sqlite":
            sent.add(_form(statement))

    return sent


def refused(statements: Iterable[str]) -> dict[str, str]:
    """Those of the statements that MySQL 8 would not take, and why."""
    asked = sorted(set(statements))
    if not (FOLDER / "node_modules").is_dir():
        raise RuntimeError(f"the parser is not installed: run `make test`, or `npm ci` in {FOLDER}")
    # Placeholders as prepared statements have them.
    plain = [_PLACEHOLDER.sub("?", one).replace("%%", "%") for one in asked]
    done = subprocess.run(
        ["node", "parse.js"], cwd=FOLDER, input=json.dumps(plain), capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(f"the parser failed:\n{done.stderr}")
    faults = dict(zip(asked, json.loads(done.stdout), strict=True))
    for statement in asked:
        if found := _MARIADB_ALONE.search(statement):
            faults[statement] = f"MariaDB alone has {found[1].upper()}"
    return {statement: fault for statement, fault in faults.items() if fault is not None}


def _form(statement: str) -> str:
    """The statement as others are that differ from it in the number of values, or the database."""
    several = re.sub(r"(%s, )+%s", "%s, %s", statement)
    return _ALEMBIC.sub("", re.sub(r"`taskservice_\d+`", "`taskservice`", several))
