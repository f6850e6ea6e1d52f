import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskservice.domain.errors import Fault, Invalid
from taskservice.engine import functions as module
from taskservice.engine.functions import FunctionInfo, Functions, ParameterInfo
from taskservice.engine.modules import could_hold, modules
from tests.engine.sample_tasks import work

WORK = "tests.engine.sample_tasks.work"


class Folder:
    """A folder of modules that can be imported while the test lasts."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str) -> None:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield Folder(tmp_path)
    for name in set(sys.modules) - before:
        del sys.modules[name]


def reason(functions: Functions, func_path: str) -> str:
    """The one thing that is wrong with a path."""
    with pytest.raises(Invalid) as caught:
        functions.resolve(func_path)
    assert functions.faults(func_path, {}) == list(caught.value.faults)
    (fault,) = caught.value.faults
    assert fault.field == "func_path"
    return fault.reason


@pytest.mark.parametrize("path", [f"{WORK}.add", f"{WORK}:add"])
@pytest.mark.parametrize("pattern", [f"{WORK}.*", f"{WORK}.add", f"{WORK}:add", "tests.*", "*.add"])
def test_an_allowed_function_is_found(pattern: str, path: str) -> None:
    functions = Functions(["other.*", pattern])
    assert functions.resolve(path) is work.add
    assert functions.faults(path, {"a": 1}) == []
    assert functions.resolve(path) is work.add


@pytest.mark.parametrize(
    "path",
    [
        "",
        "add",
        ".add",
        "a..b",
        "a.b.",
        "a:b.c",
        "a:b:c",
        ":b",
        "a:",
        "a b.c",
        "a.b()",
        "1a.b",
        "a.b\n",
    ],
)
def test_a_path_of_the_wrong_form(path: str) -> None:
    assert "is not of the form package.module.function" in reason(Functions(["*"]), path)


@pytest.mark.parametrize("path", ["a.__b", "__main__.b", "a.__init__.b", "a:__call__", "a.__b__.c"])
def test_a_part_that_begins_with_two_underscores(path: str) -> None:
    assert "begins with two underscores" in reason(Functions(["*"]), path)


@given(st.text())
def test_any_text_is_a_path_or_a_fault(path: str) -> None:
    assert Functions([]).faults(path, {}) != []


def test_what_was_found_is_known() -> None:
    functions = Functions(["tests.engine.sample_tasks.*"])
    assert not functions.knows(f"{WORK}.add")
    functions.resolve(f"{WORK}.add")
    assert functions.knows(f"{WORK}.add") and functions.knows(f"{WORK}:add")
    assert not functions.knows("add")


def test_what_is_not_allowed_is_not_imported(folder: Folder) -> None:
    folder.write("wicked.py", "raise SystemExit('imported')\ndef run(): ...")
    assert reason(Functions(["good.*", "wicked.other"]), "wicked.run") == (
        "'wicked.run' is not among the functions that tasks may call; "
        "TASKSERVICE_FUNCTIONS allows good.*, wicked.other"
    )
    assert reason(Functions([]), "wicked.run").endswith("allows nothing")
    assert "wicked" not in sys.modules


def test_patterns_know_upper_and_lower_case() -> None:
    assert "not among" in reason(Functions([f"{WORK}.ADD"]), f"{WORK}.add")


def test_what_an_allowed_module_only_imported_is_not_allowed(folder: Folder) -> None:
    folder.write(
        "mine.py",
        "import os\nfrom os import system\nfrom os import getpid as mine\n"
        "from subprocess import Popen\nfrom mine_too import helper\nappend = [].append\n",
    )
    folder.write("mine_too.py", "def helper(): ...")
    functions = Functions(["mine.*"])
    assert reason(functions, "mine.system") == (
        "mine.system is really posix.system, which is not among the functions that tasks may "
        "call; TASKSERVICE_FUNCTIONS allows mine.*"
    )
    assert "really posix.getpid" in reason(functions, "mine.mine")
    assert "really subprocess.Popen" in reason(functions, "mine.Popen")
    assert "really None.list.append" in reason(functions, "mine.append")
    assert "really mine_too.helper" in reason(functions, "mine.helper")
    assert Functions(["mine.*", "mine_too.helper"]).faults("mine.helper", {}) == []
    assert "can't be imported" in reason(functions, "mine.os.system")
    assert "can't be called: it is a module" in reason(functions, "mine.os")


def test_decorated_functions_partials_and_instances_are_taken() -> None:
    functions = Functions([f"{WORK}.*"])
    assert functions.resolve(f"{WORK}.add_decorated") is work.add_decorated
    assert functions.resolve(f"{WORK}.add_partial") is work.add_partial
    assert functions.faults(f"{WORK}.instance", {"a": 1}) == []
    assert functions.faults(f"{WORK}.Callable_", {}) == []


def test_what_is_not_there() -> None:
    functions = Functions([f"{WORK}*", "nowhere.*"])
    assert reason(functions, f"{WORK}.ad") == f"module '{WORK}' has no 'ad'; did you mean 'add'?"
    assert reason(functions, f"{WORK}.zzzzz") == f"module '{WORK}' has no 'zzzzz'"
    assert "it is of type int" in reason(functions, f"{WORK}.number")
    assert reason(functions, "nowhere.f") == (
        "module 'nowhere' can't be imported: ModuleNotFoundError: No module named 'nowhere'"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("raise ValueError('one\\ntwo')", "two"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import asyncio\nraise asyncio.CancelledError", "CancelledError"),
        ("def", "SyntaxError: invalid syntax"),
        ("x = 'a\0b'", "source code string cannot contain null bytes"),
    ],
)
def test_a_module_that_fails_to_import(folder: Folder, text: str, told: str) -> None:
    folder.write("broken.py", text)
    found = reason(Functions(["broken.*"]), "broken.f")
    assert found.startswith("module 'broken' can't be imported: ") and found.endswith(told)


def test_an_interrupt_is_not_taken_for_a_fault(folder: Folder) -> None:
    folder.write("interrupted.py", "raise KeyboardInterrupt")
    folder.write("pkg/__init__.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        Functions(["interrupted.*"]).resolve("interrupted.f")
    with pytest.raises(KeyboardInterrupt):
        Functions(["pkg.inside.*"]).catalogue()


def test_a_name_that_a_module_fails_to_give(folder: Folder) -> None:
    folder.write("lazy.py", "def __getattr__(name): raise ValueError('not now')")
    assert reason(Functions(["lazy.*"]), "lazy.f") == (
        "'f' can't be had from 'lazy': ValueError: not now"
    )


def test_a_failure_is_remembered_for_two_seconds(folder: Folder) -> None:
    now = 100.0
    functions = Functions(["flaky.*"], clock=lambda: now)
    count = folder.path / "count"
    count.write_text("")
    folder.write(
        "flaky.py",
        f"from pathlib import Path\ncount = Path({str(count)!r})\n"
        "count.write_text(count.read_text() + 'x')\nraise ValueError",
    )
    for i in range(1_000):
        assert "can't be imported" in reason(functions, f"flaky.f{i}")
    assert count.read_text() == "x"
    now += module.FAILURE_KEPT
    assert "can't be imported" in reason(functions, "flaky.f")
    assert count.read_text() == "xx"
    folder.write("flaky.py", "def f(): return 'mended'")
    assert "can't be imported" in reason(functions, "flaky.f")
    now += module.FAILURE_KEPT
    assert functions.resolve("flaky.f")() == "mended"


def test_many_threads_ask_for_one_slow_module(folder: Folder) -> None:
    folder.write("slow_module.py", "import time\ntime.sleep(0.05)\ndef f(): ...")
    functions = Functions(["slow_module.*"])
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(functions.resolve("slow_module.f")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1


ARGUMENTS = """
def plain(user_id, message, channel="email"): ...
def by_keyword(*, a, b=1): ...
def by_position(a, b=1, /, c=2): ...
def anything(*args, **kwargs): ...
def named(a, **kwargs): ...
def self_(self, cls=1): ...
class Strange:
    __signature__ = 3
    def __call__(self, a): ...
strange = Strange()
"""

NEEDED = "the function needs this argument"
UNKNOWN = "the function has no such argument"


@pytest.mark.parametrize(
    ("name", "func_args", "faults"),
    [
        ("plain", {"user_id": 1, "message": 2}, {}),
        ("plain", {}, {"user_id": NEEDED, "message": NEEDED}),
        (
            "plain",
            {"user_id": 1, "mesage": 2, "zzz": 3},
            {"message": NEEDED, "mesage": UNKNOWN + "; did you mean 'message'?", "zzz": UNKNOWN},
        ),
        ("by_keyword", {"a": 1}, {}),
        ("by_keyword", {"b": 1}, {"a": NEEDED}),
        ("by_position", {"b": 1}, {"a": "the function takes this argument by position only, and "
         "a task gives names", "b": UNKNOWN}),
        ("by_position", {"a": 1}, {"a": "the function takes this argument by position only, and "
         "a task gives names"}),
        ("anything", {"args": 1, "kwargs": 2}, {}),
        ("named", {"a": 1, "b": 2}, {}),
        ("named", {"b": 2}, {"a": NEEDED}),
        ("self_", {"self": 1, "cls": 2}, {}),
        ("strange", {"whatever": 1}, {}),
    ],
)  # fmt: skip
def test_arguments_must_bind(
    folder: Folder, name: str, func_args: dict[str, object], faults: dict[str, str]
) -> None:
    folder.write("arguments.py", ARGUMENTS)
    assert Functions(["arguments.*"]).faults(f"arguments.{name}", func_args) == [
        Fault(field=f"func_args.{argument}", reason=reason) for argument, reason in faults.items()
    ]


def test_arguments_that_bound_once_bind_again_and_no_others() -> None:
    functions = Functions([f"{WORK}.*"])
    for _ in range(2):
        assert functions.faults(f"{WORK}.add", {"a": 1}) == []
        assert functions.faults(f"{WORK}.add", {"a": 1, "other": 1}) != []
        assert functions.faults(f"{WORK}.add", {}) != []


def test_the_catalogue_of_the_examples() -> None:
    assert Functions(["taskservice.examples.*"]).catalogue() == [
        FunctionInfo(
            func_path="taskservice.examples.data_processing_task",
            name="data_processing_task",
            signature="(data_id: str, process_type: str) -> dict[str, str]",
            description="Pretend to process some data, and return what was done.",
        ),
        FunctionInfo(
            func_path="taskservice.examples.notification_task",
            name="notification_task",
            signature="(user_id: str, message: str, channel: str) -> dict[str, str]",
            description="Pretend to send a message to a user.",
        ),
        FunctionInfo(
            func_path="taskservice.examples.simple_task",
            name="simple_task",
            signature="(message: str) -> str",
            description="Print a message and return it.",
        ),
    ]


def paths(functions: Functions) -> list[str]:
    return [info.func_path for info in functions.catalogue()]


def test_the_catalogue_names_what_the_mark_says() -> None:
    assert Functions([f"{WORK}.add"]).catalogue() == [
        FunctionInfo(
            func_path=f"{WORK}.add",
            name="Addition",
            signature="(a: int, b: int = 1) -> int",
            description="Add two numbers.",
        )
    ]


def test_the_catalogue_looks_below_the_pattern_only(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    functions = (
        "from os import getpid\ndef run(): ...\ndef send_mail(): ...\ndef _own(): ...\nx = 1\n"
    )
    folder.write("shop/__init__.py", "from shop.mail import run")
    folder.write("shop/mail.py", functions)
    folder.write("shop/__main__.py", "raise SystemExit('run by mistake')")
    folder.write("shop/deep/__init__.py", "def top(): ...")
    folder.write("shop/deep/er/__init__.py", "")
    folder.write("shop/deep/er/est.py", functions)
    folder.write("shop/broken.py", "raise ValueError('no')")
    folder.write("shop2.py", functions)
    assert paths(Functions(["shop.mail.*"])) == ["shop.mail.run", "shop.mail.send_mail"]
    assert not {"shop.deep", "shop.broken", "shop2"} & set(sys.modules)
    assert paths(Functions(["shop.*.send_*"])) == [
        "shop.deep.er.est.send_mail",
        "shop.mail.send_mail",
    ]
    assert "module 'shop.broken' can't be imported: ValueError: no" in caplog.text
    assert "shop.__main__" not in caplog.text
    assert paths(Functions(["shop.*", "shop.mail.run"])) == [
        "shop.deep.er.est.run",
        "shop.deep.er.est.send_mail",
        "shop.deep.top",
        "shop.mail.run",
        "shop.mail.send_mail",
    ]
    assert paths(Functions(["shop.de[a-e]p.*"]))[0] == "shop.deep.er.est.run"
    assert paths(Functions(["shop2.ru?"])) == ["shop2.run"]
    assert paths(Functions(["nowhere.*", "shop.__main__.*", "run"])) == []


def test_the_catalogue_of_a_package_that_fails(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write("unsound/__init__.py", "raise ValueError('no')")
    folder.write("unsound/inside.py", "def f(): ...")
    assert paths(Functions(["unsound.inside.*", f"{WORK}.add"])) == [f"{WORK}.add"]
    assert "functions_not_listed: unsound.inside.*: ValueError: no" in caplog.text


def test_the_catalogue_of_everything_is_what_was_called() -> None:
    functions = Functions(["*"])
    assert paths(functions) == []
    functions.resolve(f"{WORK}.add")
    assert f"{WORK}.add" in paths(functions)


def test_a_function_without_docstring_or_signature(folder: Folder) -> None:
    folder.write(
        "bare.py",
        "from taskservice import task\ndef f(): ...\n"
        "class Job:\n    '''\n    A job.\n    '''\n"
        "    __signature__ = 3\n    def __call__(self): ...\n"
        "job = task(Job())\n",
    )
    assert Functions(["bare.*"]).catalogue() == [
        FunctionInfo(func_path="bare.f", name="f", signature="()", description=""),
        FunctionInfo(func_path="bare.job", name="job", signature="(...)", description="A job."),
    ]


def test_modules_in_an_archive(folder: Folder) -> None:
    with zipfile.ZipFile(folder.path / "tasks.zip", "w") as archive:
        archive.writestr("zipped/__init__.py", "")
        archive.writestr("zipped/inner/__init__.py", "")
        archive.writestr("zipped/inner/work.py", "def f(): ...")
    sys.path.insert(0, str(folder.path / "tasks.zip"))
    try:
        assert paths(Functions(["zipped.*"])) == ["zipped.inner.work.f"]
    finally:
        sys.path.remove(str(folder.path / "tasks.zip"))


@pytest.mark.parametrize(
    ("name", "pattern", "holds"),
    [
        ("a.b", "a.b.*", True),
        ("a.b", "a.b.f", True),
        ("a.b", "a.*", True),
        ("a.b", "a*", True),
        ("a.b", "*", True),
        ("a.b", "a.?.f", True),
        ("a.b", "a.*.send_*", True),
        ("a", "a.b.f", False),
        ("a.b", "a.f", False),
        ("a.b", "a.b", False),
        ("a.b", "a.b.", False),
        ("a.bc", "a.b.*", False),
    ],
)
def test_which_modules_could_hold_an_allowed_name(name: str, pattern: str, holds: bool) -> None:
    assert could_hold(name, pattern) is holds


def test_modules_are_found_without_being_imported(folder: Folder) -> None:
    folder.write("unseen/__init__.py", "raise SystemExit")
    folder.write("unseen/work.py", "raise SystemExit")
    assert list(modules("unseen.*")) == ["unseen", "unseen.work"]


def test_a_path_can_be_judged_without_an_import() -> None:
    functions = Functions(["no_such_module.*"])
    assert functions.path_faults("no_such_module.run") == []
    assert functions.path_faults("no_such_module:run") == []
    for path in ("other.run", "no_such_module", "no_such_module.__run", "no such.run"):
        (fault,) = functions.path_faults(path)
        assert fault.field == "func_path"
    assert "can't be imported" in functions.faults("no_such_module.run", {})[0].reason


def test_the_arguments_of_a_function_are_told(folder: Folder) -> None:
    folder.write(
        "inputs.py",
        "def f(a: str, /, b: int, *args: int, c: 'list[str] | None' = None, d=3, **more): ...\n",
    )
    functions = Functions(["inputs.*", "builtins.*"])
    assert functions.parameters("inputs.f") == [
        ParameterInfo(name="b", kind="int", required=True),
        ParameterInfo(name="c", kind="'list[str] | None'", required=False),
        ParameterInfo(name="d", kind="", required=False, default=3),
        ParameterInfo(name="more", kind="", required=False, rest=True),
    ]
    assert functions.parameters("builtins.print")[-1].rest is False
    with pytest.raises(Invalid):
        functions.parameters("inputs.nope")


def test_a_function_that_tells_no_signature_may_take_anything(folder: Folder) -> None:
    folder.write("silent.py", "def f(): ...\nf.__signature__ = 1\n")
    assert Functions(["silent.*"]).parameters("silent.f") == [
        ParameterInfo(name="kwargs", kind="", required=False, rest=True)
    ]
