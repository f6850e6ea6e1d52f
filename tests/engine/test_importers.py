"""Modules that hang or exit at their import, and the children that import them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from taskservice.engine.descriptions import Answer, Question
from taskservice.engine.importers import Importers
from tests.acceptance.process import wait_for
from tests.engine.modules_folder import ModulesFolder

ALLOWED = ("*",)
LIMIT = 60.0

HANGING = """\
import os, time
with open({note!r}, "w") as note:
    note.write(str(os.getpid()))
time.sleep(600)
"""


@pytest.fixture
def make() -> Iterator[Callable[..., Importers]]:
    """Makes importers, whose children end with the test."""
    made = []

    def make(**settings: float) -> Importers:
        made.append(Importers(**settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for importers in made:
        importers.close()


def ask(importers: Importers, module: str, *names: str, anew: bool = False) -> Answer:
    question = Question(module=module, names=names, patterns=ALLOWED)
    return importers.ask(question, anew=anew).result(LIMIT)


def is_alive(pid: int) -> bool:
    """Whether there is a process that is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def is_gone(pid: int) -> bool:
    return not is_alive(pid)


def noted(note: Path) -> int:
    """The process that a hanging module tells of, once it does."""

    def pid() -> int | None:
        return int(note.read_text() or 0) if note.exists() else None

    return wait_for("the module hangs", pid)


def test_a_module_that_hangs_is_given_up_and_holds_no_other(
    folder: ModulesFolder, make: Callable[..., Importers]
) -> None:
    importers, note = make(limit=3), folder.path / "note"
    folder.write("hanging.py", HANGING.format(note=str(note)))
    folder.write("sound.py", "def f(a): ...")
    hanging = importers.ask(Question(module="hanging", patterns=ALLOWED))
    pid = noted(note)
    assert [one.name for one in ask(importers, "sound").functions["f"].parameters or ()] == ["a"]
    told = hanging.result(LIMIT)
    assert told.fault == "importing module 'hanging' took longer than 3 s" and told.harmful
    assert [source.file for source in told.sources] == [str(folder.path / "hanging.py")]
    wait_for("its process is gone", partial(is_gone, pid))
    assert ask(importers, "sound").fault is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import os\nos._exit(3)", "ended the process with exit status 3"),
        ("import os\nos._exit(0)", "ended the process with exit status 0"),
        ("import ctypes\nctypes.string_at(0)", "ended the process by signal 11 (SIGSEGV)"),
        ("import os\nos.kill(os.getpid(), 40)", "ended the process by signal 40"),
        ("import os\nos.closerange(3, 100)", "ended the process"),
    ],
)
def test_a_module_that_ends_the_process(
    folder: ModulesFolder, make: Callable[..., Importers], text: str, told: str
) -> None:
    importers = make()
    folder.write("ending.py", text)
    folder.write("sound.py", "def f(): ...")
    found = ask(importers, "ending")
    assert found.harmful and (found.fault or "").startswith(f"importing module 'ending' {told}")
    assert ask(importers, "sound").fault is None


def test_what_an_earlier_module_left_behind_is_not_blamed_on_a_later_one(
    folder: ModulesFolder, make: Callable[..., Importers]
) -> None:
    importers = make()
    folder.write(
        "trap.py",
        "import os, sys\n"
        "class Trap:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'sound': os._exit(1)\n"
        "sys.meta_path.insert(0, Trap())\n",
    )
    folder.write("sound.py", "def f(): ...")
    assert ask(importers, "trap").fault is None
    assert ask(importers, "sound").fault is None


def test_a_copy_that_a_module_forks_does_not_answer(
    folder: ModulesFolder, make: Callable[..., Importers]
) -> None:
    importers, note = make(), folder.path / "note"
    folder.write(
        "forking.py",
        f"import os\nif not os.fork(): open({str(note)!r}, 'w').write(str(os.getpid()))\n"
        "def f(): ...\n",
    )
    folder.write("sound.py", "def g(): ...")
    assert "f" in ask(importers, "forking").functions
    pid = noted(note)
    wait_for("the copy is gone", partial(is_gone, pid))
    assert "g" in ask(importers, "sound").functions


def test_a_child_is_kept_for_the_next_module_and_made_anew_when_files_changed(
    folder: ModulesFolder, make: Callable[..., Importers]
) -> None:
    importers = make()
    for name in "abc":
        folder.write(f"mod_{name}.py", "import os\ndef f(pid=os.getpid()): ...")
    pids = [
        int((ask(importers, f"mod_{name}", anew=anew).functions["f"].parameters or ())[0].default)
        for name, anew in (("a", False), ("b", False), ("a", True), ("c", False))
    ]
    first, second, third, fourth = pids
    assert first == second != third == fourth
    wait_for("the first child is gone", partial(is_gone, first))


def test_an_idle_child_ends(folder: ModulesFolder, make: Callable[..., Importers]) -> None:
    importers = make(idle=0.05)
    folder.write("mod.py", "import os\ndef f(pid=os.getpid()): ...")
    for _ in range(2):
        [parameter] = ask(importers, "mod").functions["f"].parameters or ()
        pid = int(parameter.default)
        wait_for("the child ends", partial(is_gone, pid))


def test_no_more_children_than_allowed(
    folder: ModulesFolder, make: Callable[..., Importers]
) -> None:
    importers, note = make(most=1), folder.path / "note"
    folder.write(
        "waiting.py",
        f"import os, time\nwhile not os.path.exists({str(note)!r}): time.sleep(0.01)\n",
    )
    folder.write("sound.py", "def f(): ...")
    first = importers.ask(Question(module="waiting", patterns=ALLOWED))
    second = importers.ask(Question(module="sound", patterns=ALLOWED))
    with pytest.raises(TimeoutError):
        second.result(0.5)
    note.touch()
    assert first.result(LIMIT).fault is None and second.result(LIMIT).fault is None


def test_no_more_questions_wait_than_allowed(
    folder: ModulesFolder, make: Callable[..., Importers]
) -> None:
    importers, note = make(most=1, most_waiting=1), folder.path / "note"
    folder.write("hanging.py", HANGING.format(note=str(note)))
    importers.ask(Question(module="hanging", patterns=ALLOWED))
    noted(note)
    importers.ask(Question(module="waiting", patterns=ALLOWED))
    told = ask(importers, "refused")
    assert told.fault == "too many modules wait to be imported; try again" and not told.harmful


def test_of_two_edits_in_one_second_the_last_counts(
    folder: ModulesFolder, make: Callable[..., Importers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    importers, file = make(), folder.path / "mod.py"
    moment = time.time() + 60  # as if the clocks were apart: it stays a fresh one for the test
    for number in range(5):
        file.write_text(f"def f(number={number}): ...")
        os.utime(file, (moment, moment))
        [parameter] = ask(importers, "mod", anew=True).functions["f"].parameters or ()
        assert parameter.default == str(number)


def test_what_a_module_prints_and_what_it_is_not_told(
    folder: ModulesFolder,
    make: Callable[..., Importers],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TASKSERVICE_SECRET", "x")
    monkeypatch.setenv("OTHER_SETTING", "y")
    folder.write(
        "noisy.py",
        "import os, sys\nprint('printed', sys.stdin.read())\n"
        "def f(own=os.environ.get('TASKSERVICE_SECRET'), other=os.environ['OTHER_SETTING']): ...\n",
    )
    parameters = ask(make(), "noisy").functions["f"].parameters or ()
    assert [each.default for each in parameters] == ["None", "'y'"]
    assert capfd.readouterr() == ("", "printed \n")


def test_nothing_is_imported_after_the_end(
    folder: ModulesFolder, make: Callable[..., Importers]
) -> None:
    importers, note = make(most=1), folder.path / "note"
    folder.write("hanging.py", HANGING.format(note=str(note)))
    questions = [Question(module=name, patterns=ALLOWED) for name in ("hanging", "other")]
    hanging, waiting = map(importers.ask, questions)
    pid = noted(note)
    importers.close()
    assert hanging.result(LIMIT).fault and waiting.result(LIMIT).fault == "the service is stopping"
    assert ask(importers, "other").fault == "the service is stopping"
    wait_for("the child is gone", partial(is_gone, pid))


def test_no_process_can_be_started(
    folder: ModulesFolder, make: Callable[..., Importers], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("sound.py", "def f(): ...")
    importers = make()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(folder.path / "no_python"))
        assert ask(importers, "sound").fault == (
            "no process can be started to import it: No such file or directory"
        )
    assert ask(importers, "sound").fault is None


def test_a_child_dies_with_its_service(folder: ModulesFolder) -> None:
    note = folder.path / "note"
    folder.write("hanging.py", HANGING.format(note=str(note)).replace("time.sleep(600)", HOGGING))
    code = (
        "from taskservice.engine.functions import Functions\n"
        "Functions(['*']).faults('hanging.f', {})\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder.path), os.getcwd()])},
    ) as service:
        try:
            pid = noted(note)
        finally:
            service.send_signal(signal.SIGKILL)
    wait_for("the child is gone", partial(is_gone, pid))


HOGGING = "import re; re.match(r'(a+)+$', 'a' * 60 + 'b')"
"""Never lets another thread of the process run."""
