"""Folders of users' modules in front of `sys.path`, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from taskservice.engine.import_path import own_names

BEGIN = """\
import sys
from taskservice.engine.import_path import kept, put_in_front
before = list(sys.path)
put_in_front([])
assert kept() == ([], before) == ([], sys.path)
put_in_front([{folder!r}])
assert sys.path == [{folder!r}, *before] and kept()[1] == before
"""


def run(folder: Path, code: str) -> str:
    """What some code prints that runs with a folder in front."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN.format(folder=str(folder)) + code],
        capture_output=True,
        check=False,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert not done.returncode, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["mailbox", "wave", "cgi", "yaml", "babel", "apscheduler"])
def test_python_and_the_services_libraries_are_found_where_they_were(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / f"{name}.py").write_text("raise SystemExit(1)")
    assert str(tmp_path) not in run(tmp_path, f"import {name}; print({name}.__file__)")


@pytest.mark.parametrize("name", ["mine", "tools", "tests", "iniconfig"])
def test_other_modules_are_found_in_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("")
    assert run(tmp_path, f"import {name}; print({name}.__file__)") == str(tmp_path / f"{name}.py")


def test_what_another_system_has_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "msvcrt.py").write_text("")
    code = "try: import msvcrt\nexcept ModuleNotFoundError as error: print(error, error.name)"
    assert run(tmp_path, code) == "No module named 'msvcrt' msvcrt"
    (tmp_path / "pytz.py").write_text("")
    assert run(tmp_path, "import pytz; print(pytz.__file__)") == str(tmp_path / "pytz.py")


def test_the_names_are_those_of_what_the_service_stands_on() -> None:
    names = own_names()
    assert {"json", "taskservice", "yaml", "sqlalchemy", "greenlet", "anyio", "tzdata"} <= names
    assert not {"pytest", "hypothesis", "celery", "tools", "tests"} & names
