import asyncio
import os
import py_compile
import sys
import threading
import time
import zipfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskservice.domain.errors import Fault, Invalid, Pending
from taskservice.engine import functions as module
from taskservice.engine.functions import FunctionInfo, Functions, ParameterInfo
from taskservice.engine.importers import Importers
from taskservice.engine.modules import could_hold, modules
from tests.engine.harness import until
from tests.engine.modules_folder import ModulesFolder
from tests.engine.sample_tasks import work

WORK = "tests.engine.sample_tasks.work"


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
    assert functions.faults(f"{WORK}.add", {"a": 1}) == []
    assert functions.knows(f"{WORK}.add") and functions.knows(f"{WORK}:add")
    assert functions.knows("add"), "it has no module that would have to be imported"


def test_what_is_not_allowed_is_not_imported(folder: ModulesFolder) -> None:
    folder.write("wicked.py", "raise SystemExit('imported')\ndef run(): ...")
    assert reason(Functions(["good.*", "wicked.other"]), "wicked.run") == (
        "'wicked.run' is not among the functions that tasks may call; "
        "TASKSERVICE_FUNCTIONS allows good.*, wicked.other"
    )
    assert reason(Functions([]), "wicked.run").endswith("allows nothing")
    assert "wicked" not in sys.modules


def test_patterns_know_upper_and_lower_case() -> None:
    assert "not among" in reason(Functions([f"{WORK}.ADD"]), f"{WORK}.add")


def test_what_an_allowed_module_only_imported_is_not_allowed(folder: ModulesFolder) -> None:
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


OTHER = """
import functools, os
class Job:
    def __call__(self): ...
obj = Job()
partial = functools.partial(os.getpid)
"""

BORROWED = """
import functools, operator, os
import other
from other import Job, obj, obj as renamed, partial
from other import *
if True:
    from other import obj as nested
assigned = other.obj
typed: object = other.obj
twice = assigned
shell = functools.partial(os.system)
reader = operator.attrgetter("a")
made = Job()
made_too = other.Job()
wrapped = functools.partial(obj)
partial_too = partial
partial = functools.partial(partial)
def inside():
    from other import obj as made
def __getattr__(name):
    if name == "lazy": return obj
    raise AttributeError(name)
"""


def test_objects_that_are_imported_are_not_allowed_and_those_that_are_made_are(
    folder: ModulesFolder,
) -> None:
    folder.write("other.py", OTHER)
    folder.write("mine/__init__.py", "from mine.inner import made")
    folder.write("mine/inner.py", BORROWED)
    folder.write("mine/star.py", "from other import *\nfrom .inner import made\n")
    functions = Functions(["mine.*"])
    for name in ("obj", "renamed", "nested", "assigned", "typed", "twice"):
        assert reason(functions, f"mine.inner.{name}") == (
            f"mine.inner.{name} is really other.obj, which is not among the functions that tasks "
            "may call; TASKSERVICE_FUNCTIONS allows mine.*"
        )
    assert "is really other.partial, which" in reason(functions, "mine.inner.partial_too")
    assert "is really other.Job, which" in reason(functions, "mine.inner.Job")
    assert "is really other.obj, which" in reason(functions, "mine.star.obj")
    # What an author makes is meant, of whatever it is; so is one that is allowed where it is made.
    for name in ("shell", "made", "made_too", "wrapped", "partial", "lazy"):
        assert callable(functions.resolve(f"mine.inner.{name}"))
    assert functions.faults("mine.star.made", {}) == functions.faults("mine.made", {}) == []
    assert callable(functions.resolve("mine.inner.reader"))
    assert callable(Functions(["mine.*", "other.obj"]).resolve("mine.inner.obj"))
    functions.close()


def test_an_object_of_a_module_without_text(folder: ModulesFolder) -> None:
    folder.write("other.py", OTHER)
    folder.write(
        "mine.py",
        "import functools\nfrom other import obj\nclass J:\n    def __call__(self): ...\n"
        "job = J()\nmade = functools.partial(J)\n",
    )
    py_compile.compile(str(folder.path / "mine.py"), cfile=str(folder.path / "mine.pyc"))
    (folder.path / "mine.py").unlink()
    functions = Functions(["mine.*"])
    assert "is really other.Job, which" in reason(functions, "mine.obj")
    assert "is really functools.partial, which" in reason(functions, "mine.made")
    assert functions.faults("mine.job", {}) == []
    functions.close()


def test_decorated_functions_partials_and_instances_are_taken() -> None:
    functions = Functions([f"{WORK}.*"])
    assert functions.resolve(f"{WORK}.add_decorated") is work.add_decorated
    assert functions.resolve(f"{WORK}.add_partial") is work.add_partial
    assert functions.faults(f"{WORK}.instance", {"a": 1}) == []
    assert functions.faults(f"{WORK}.Callable_", {}) == []


def test_a_hint_at_a_long_name_takes_no_time() -> None:
    functions = Functions([f"{WORK}.*"])
    functions.resolve(f"{WORK}.add")
    names = {f"{'ab' * 1_000_000}{number}": 1 for number in range(20)}
    began = time.perf_counter()
    faults = functions.faults(f"{WORK}.add", names)
    assert time.perf_counter() - began < 3
    assert any("no such argument" in fault.reason for fault in faults)


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
def test_a_module_that_fails_to_import(folder: ModulesFolder, text: str, told: str) -> None:
    folder.write("broken.py", text)
    found = reason(Functions(["broken.*"]), "broken.f")
    assert found.startswith("module 'broken' can't be imported: ") and found.endswith(told)


def test_an_interrupt_is_not_taken_for_a_fault(folder: ModulesFolder) -> None:
    folder.write("interrupted.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        Functions(["interrupted.*"]).resolve("interrupted.f")


def test_a_name_that_a_module_fails_to_give(folder: ModulesFolder) -> None:
    folder.write("lazy.py", "def __getattr__(name): raise ValueError('not now')")
    assert reason(Functions(["lazy.*"]), "lazy.f") == (
        "'f' can't be had from 'lazy': lazy.py:1: ValueError: not now"
    )


def test_a_failure_is_remembered_for_two_seconds(folder: ModulesFolder) -> None:
    now = 100.0
    functions = Functions(["flaky.*"], clock=lambda: now)
    count = folder.path / "count"
    count.write_text("")
    folder.write(
        "flaky.py",
        f"from pathlib import Path\ncount = Path({str(count)!r})\n"
        "count.write_text(count.read_text() + 'x')\nraise ValueError",
    )

    def told(name: str) -> str:
        return "; ".join(fault.reason for fault in functions.faults(f"flaky.{name}", {}))

    for i in range(1_000):
        assert "can't be imported" in told(f"f{i}")
    assert count.read_text() == "x"
    now += module.FAILURE_KEPT
    assert "can't be imported" in told("f")
    assert count.read_text() == "xx"


def test_many_threads_ask_for_one_slow_module(folder: ModulesFolder) -> None:
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
    folder: ModulesFolder, name: str, func_args: dict[str, object], faults: dict[str, str]
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


async def test_the_catalogue_of_the_examples() -> None:
    assert await Functions(["taskservice.examples.*"]).catalogue() == [
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


async def paths(functions: Functions) -> list[str]:
    return [info.func_path for info in await functions.catalogue()]


async def test_the_catalogue_names_what_the_mark_says() -> None:
    assert await Functions([f"{WORK}.add"]).catalogue() == [
        FunctionInfo(
            func_path=f"{WORK}.add",
            name="Addition",
            signature="(a: int, b: int = 1) -> int",
            description="Add two numbers.",
        )
    ]


async def test_the_catalogue_looks_below_the_pattern_only(
    folder: ModulesFolder, caplog: pytest.LogCaptureFixture
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
    assert await paths(Functions(["shop.mail.*"])) == ["shop.mail.run", "shop.mail.send_mail"]
    assert not {"shop.deep", "shop.broken", "shop2"} & set(sys.modules)
    assert await paths(Functions(["shop.*.send_*"])) == [
        "shop.deep.er.est.send_mail",
        "shop.mail.send_mail",
    ]
    assert "module 'shop.broken' can't be imported: shop/broken.py:1: ValueError: no" in caplog.text
    assert "shop.__main__" not in caplog.text
    assert await paths(Functions(["shop.*", "shop.mail.run"])) == [
        "shop.deep.er.est.run",
        "shop.deep.er.est.send_mail",
        "shop.deep.top",
        "shop.mail.run",
        "shop.mail.send_mail",
    ]
    assert (await paths(Functions(["shop.de[a-e]p.*"])))[0] == "shop.deep.er.est.run"
    assert await paths(Functions(["shop2.ru?"])) == ["shop2.run"]
    assert await paths(Functions(["nowhere.*", "shop.__main__.*", "run"])) == []


async def test_the_catalogue_of_a_package_that_fails(
    folder: ModulesFolder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write("unsound/__init__.py", "raise ValueError('no')")
    folder.write("unsound/inside.py", "def f(): ...")
    assert await paths(Functions(["unsound.inside.*", f"{WORK}.add"])) == [f"{WORK}.add"]
    assert (
        "functions_not_listed: unsound.inside.*: unsound/__init__.py:1: ValueError: no"
        in caplog.text
    )


async def test_the_catalogue_of_everything_is_what_was_called() -> None:
    functions = Functions(["*"])
    assert await paths(functions) == []
    assert functions.faults(f"{WORK}.add", {"a": 1}) == []
    assert f"{WORK}.add" in await paths(functions)


async def test_a_function_without_docstring_or_signature(folder: ModulesFolder) -> None:
    folder.write(
        "bare.py",
        "from taskservice import task\ndef f(): ...\n"
        "class Job:\n    '''\n    A job.\n    '''\n"
        "    __signature__ = 3\n    def __call__(self): ...\n"
        "job = task(Job())\n",
    )
    assert await Functions(["bare.*"]).catalogue() == [
        FunctionInfo(func_path="bare.f", name="f", signature="()", description=""),
        FunctionInfo(func_path="bare.job", name="job", signature="(...)", description="A job."),
    ]


async def test_modules_in_an_archive(folder: ModulesFolder) -> None:
    with zipfile.ZipFile(folder.path / "tasks.zip", "w") as archive:
        archive.writestr("zipped/__init__.py", "")
        archive.writestr("zipped/inner/__init__.py", "")
        archive.writestr("zipped/inner/work.py", "def f(): ...")
    sys.path.insert(0, str(folder.path / "tasks.zip"))
    try:
        assert await paths(Functions(["zipped.*"])) == ["zipped.inner.work.f"]
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


def test_modules_are_found_without_being_imported(folder: ModulesFolder) -> None:
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


async def test_the_arguments_of_a_function_are_told(folder: ModulesFolder) -> None:
    folder.write(
        "inputs.py",
        "def f(a: str, /, b: int, *args: int, c: 'list[str] | None' = None, d=3, **more): ...\n",
    )
    functions = Functions(["inputs.*", "builtins.*"])
    assert await functions.parameters("inputs.f") == [
        ParameterInfo(name="b", kind="int", required=True),
        ParameterInfo(name="c", kind="'list[str] | None'", required=False, default="None"),
        ParameterInfo(name="d", kind="", required=False, default="3"),
        ParameterInfo(name="more", kind="", required=False, rest=True),
    ]
    assert (await functions.parameters("builtins.print"))[-1].rest is False
    with pytest.raises(Invalid):
        await functions.parameters("inputs.nope")


async def test_a_function_that_tells_no_signature_may_take_anything(folder: ModulesFolder) -> None:
    folder.write("silent.py", "def f(): ...\nf.__signature__ = 1\n")
    assert await Functions(["silent.*"]).parameters("silent.f") == [
        ParameterInfo(name="kwargs", kind="", required=False, rest=True)
    ]


GATED = """\
import os, time
while not os.path.exists({gate!r}):
    time.sleep(0.01)
def f(a): ...
"""


def gated(folder: ModulesFolder, name: str) -> Path:
    """A module whose import waits for a file, which is returned."""
    gate = folder.path / f"{name}.gate"
    folder.write(f"{name}.py", GATED.format(gate=str(gate)))
    return gate


def test_whoever_has_no_patience_is_told_later(folder: ModulesFolder) -> None:
    functions = Functions(["slow.*", "sound.*"])
    gate, answered = gated(folder, "slow"), threading.Event()
    folder.write("sound.py", "def f(): ...")
    functions.on_answer(answered.set)
    for patience in (0, 0.05, 0.05):
        (fault,) = functions.faults("slow.f", {"b": 1}, patience=patience)
        assert isinstance(fault, Pending) and fault.field == "func_path"
        assert "is still being imported" in fault.reason
    assert functions.faults("sound.f", {}) == [] and not answered.is_set()
    gate.touch()
    assert answered.wait(30)
    found = [fault.field for fault in functions.faults("slow.f", {"b": 1}, patience=0)]
    assert found == ["func_args.a", "func_args.b"]
    functions.close()


def test_when_several_modules_hang_nobody_waits_for_a_further_one(folder: ModulesFolder) -> None:
    functions = Functions(["slow_*"])
    gates = [gated(folder, f"slow_{number}") for number in range(6)]
    began = time.monotonic()
    for number in range(6):
        (fault,) = functions.faults(f"slow_{number}.f", {}, patience=1)
        assert isinstance(fault, Pending)
    assert time.monotonic() - began < 4
    for gate in gates:
        gate.touch()
    for number in range(6):
        assert functions.faults(f"slow_{number}.f", {"a": 1}) == []
    functions.close()


async def test_to_wait_for_a_module_holds_nobody_up(folder: ModulesFolder) -> None:
    functions = Functions(["slow.*"])
    gate = gated(folder, "slow")
    waiting = asyncio.create_task(functions.ready("slow.f"))
    given_up = asyncio.create_task(functions.ready("slow.f"))
    await functions.ready("slow.f", patience=0.1)
    await functions.ready("no such path")
    assert not functions.knows("slow.f")
    with pytest.raises(Invalid, match="is still being imported"):
        await functions.parameters("slow.f", patience=0)
    assert await functions.catalogue(patience=0) == []
    given_up.cancel()
    gate.touch()
    await waiting
    assert functions.faults("slow.f", {"a": 1}, patience=0) == []
    functions.close()


def test_a_module_that_hung_is_tried_again_when_its_file_changed(folder: ModulesFolder) -> None:
    now = 100.0
    functions = Functions(["mod.*"], importers=Importers(limit=2), clock=lambda: now)
    folder.write("mod.py", "import time\ntime.sleep(600)\ndef f(): ...")
    told = "importing module 'mod' took longer than 2 s"
    assert [fault.reason for fault in functions.faults("mod.f", {})] == [told]
    now += module.FAILURE_KEPT
    assert [fault.reason for fault in functions.faults("mod.f", {})] == [told]
    folder.write("mod.py", "def f(): ...")
    now += module.COMPARED_SECONDS
    assert functions.faults("mod.f", {}) == []
    functions.close()


def test_changed_code_is_looked_at_anew(folder: ModulesFolder) -> None:
    now = 100.0
    functions = Functions(["pkg.*"], clock=lambda: now)
    folder.write("pkg/__init__.py", "")
    folder.write("pkg/mod.py", "from pkg.shared import marked\n@marked\ndef f(): ...")
    folder.write("pkg/shared.py", "def marked(function): return function")
    assert functions.faults("pkg.mod.f", {}) == []
    # What it imports changes, then itself; each takes the place of the other's signature.
    folder.write("pkg/shared.py", "def marked(function): return lambda a: a")
    now += module.COMPARED_SECONDS
    assert [fault.field for fault in functions.faults("pkg.mod.f", {})] == ["func_args.a"]
    folder.write("pkg/mod.py", "def f(b): ...")
    assert functions.faults("pkg.mod.f", {"b": 1}, patience=0) != []
    now += module.COMPARED_SECONDS
    assert functions.faults("pkg.mod.f", {"b": 1}) == []
    # Touched, but the same.
    folder.write("pkg/mod.py", "def f(b): ...")
    now += module.COMPARED_SECONDS
    assert functions.faults("pkg.mod.f", {"b": 1}) == []
    folder.write("pkg/mod.py", "def f(b) ...")
    now += module.COMPARED_SECONDS
    (fault,) = functions.faults("pkg.mod.f", {"b": 1})
    assert fault.reason == (
        "module 'pkg.mod' can't be imported: pkg/mod.py:1: SyntaxError: expected ':'"
    )
    functions.close()


def test_a_change_of_what_a_child_has_imported_before_is_noticed(folder: ModulesFolder) -> None:
    functions = Functions(["first.*", "second.*", "shared.*"])
    folder.write("shared.py", "def marked(function): return function")
    for name in ("first", "second"):
        folder.write(f"{name}.py", "from shared import marked\n@marked\ndef f(): ...")
    assert functions.faults("first.f", {}) == []
    folder.write("shared.py", "def marked(function): return lambda a: a")
    assert [fault.field for fault in functions.faults("second.f", {})] == ["func_args.a"]
    functions.close()


def test_a_look_tells_once_of_a_change(folder: ModulesFolder) -> None:
    functions = Functions(["mod.*"])
    folder.write("mod.py", "def f() ...")
    assert "SyntaxError" in functions.faults("mod.f", {})[0].reason
    assert not functions.look()
    folder.write("mod.py", "def f(): ...")
    assert functions.look() and not functions.look()
    assert functions.faults("mod.f", {}) == []
    assert not functions.look()
    functions.close()


def test_a_fault_names_the_last_line_of_the_users_own(folder: ModulesFolder) -> None:
    functions = Functions(["jobs.*"])
    folder.write("jobs/__init__.py", "")
    folder.write("jobs/daily.py", "\n\nimport jobs.shared")
    folder.write("jobs/shared.py", "import json\n\ndef read():\n    json.loads('{')\n\nread()")
    folder.write("jobs/nightly.py", "\nfrom jobs import wrong")
    folder.write("jobs/wrong.py", "x = 1\ny = = 2\n")
    folder.write("jobs/missing.py", "\nimport no_such_module_at_all")
    begin = "module 'jobs.{}' can't be imported: "
    assert reason(functions, "jobs.daily.f").startswith(
        begin.format("daily") + "jobs/shared.py:4: json.decoder.JSONDecodeError: Expecting"
    )
    assert reason(functions, "jobs.nightly.f") == (
        begin.format("nightly") + "jobs/wrong.py:2: SyntaxError: invalid syntax"
    )
    assert reason(functions, "jobs.missing.f") == (
        begin.format("missing")
        + "jobs/missing.py:2: ModuleNotFoundError: No module named 'no_such_module_at_all'"
    )
    functions.close()


async def test_a_module_is_imported_into_the_service_once_it_did_no_harm(
    folder: ModulesFolder,
) -> None:
    functions = Functions(["jobs.*", "ending.*", f"{WORK}.*"])
    folder.write("ending.py", "import os\nos._exit(3)")
    with pytest.raises(Invalid, match="importing module 'ending' ended the process with exit st"):
        await functions.load("ending.f")
    folder.write("jobs.py", "import os\npid = os.getpid()\ndef f(): return pid\ndef g(): ...")
    found = await asyncio.gather(*(functions.load(f"jobs.{name}") for name in "fgf"))
    assert found[0] is found[2] is sys.modules["jobs"].f and found[1] is sys.modules["jobs"].g
    assert found[0]() == os.getpid()
    assert await functions.load("jobs:f") is found[0]
    with pytest.raises(Invalid, match="has no 'h'"):
        await functions.load("jobs.h")
    functions.close()


HANGS_HERE = """\
import os, time
while os.getpid() == {pid} and not os.path.exists({gate!r}):
    time.sleep(0.01)
def f(): ...
def g(): ...
"""


async def test_a_module_that_hangs_in_the_service_alone_takes_one_thread(
    folder: ModulesFolder,
) -> None:
    functions = Functions(["here.*", "sound.*"], load_limit=0.5)
    gate = folder.path / "gate"
    folder.write("here.py", HANGS_HERE.format(pid=os.getpid(), gate=str(gate)))
    folder.write("sound.py", "def f(): ...")
    for name in "fgf":
        with pytest.raises(Invalid, match=r"'here' took longer than 0\.5 s in the service"):
            await functions.load(f"here.{name}")
    importing = [each.name for each in threading.enumerate() if each.name == "taskservice-import"]
    assert len(importing) == 1
    assert callable(await functions.load("sound.f"))
    gate.touch()
    await until(lambda: functions.loaded("here.f"))
    assert callable(await functions.load("here.g"))
    functions.close()


async def test_at_most_eight_modules_hang_in_the_service(folder: ModulesFolder) -> None:
    functions = Functions(["here_*"], load_limit=0.05)
    gate = folder.path / "gate"
    for number in range(module.MOST_LOADING + 1):
        folder.write(f"here_{number}.py", HANGS_HERE.format(pid=os.getpid(), gate=str(gate)))
    told = []
    for number in range(module.MOST_LOADING + 1):
        with pytest.raises(Invalid) as caught:
            await functions.load(f"here_{number}.f")
        told.append(str(caught.value))
    assert all("took longer" in each for each in told[:-1])
    assert "8 modules are being imported into the service already, and hang" in told[-1]
    gate.touch()
    for number in range(module.MOST_LOADING):
        await until(partial(functions.loaded, f"here_{number}.f"))
    functions.close()


async def test_loaded_code_is_compared_with_its_files(folder: ModulesFolder) -> None:
    now = 100.0
    functions = Functions(["first.*", "second.*"], clock=lambda: now)
    folder.write("shared.py", "X = 1")
    folder.write("first.py", "from shared import X\ndef f(): return X")
    folder.write("second.py", "import shared\ndef f(): return shared.X")

    def looked(name: str) -> bool:
        nonlocal now
        now += module.COMPARED_SECONDS
        assert functions.look_is_due(f"{name}.f") and not functions.look_is_due(f"{name}.f")
        functions.look(f"{name}.f")
        return functions.has_changed(f"{name}.f")

    await functions.load("first.f")
    assert not functions.has_changed("second.f") and not functions.look_is_due("second.f")
    assert not looked("first")
    folder.write("shared.py", "X = 2")
    # What it uses was loaded before that.
    await functions.load("second.f")
    assert looked("first") and looked("second")
    folder.write("shared.py", "X = 1")
    assert not looked("first") and not looked("second")
    (folder.path / "first.py").unlink()
    now += module.COMPARED_SECONDS
    functions.look()
    assert functions.has_changed("first.f") and not functions.has_changed("second.f")
    functions.close()


def test_few_modules_that_fail_are_remembered(folder: ModulesFolder) -> None:
    functions = Functions(["*"], most_known=3)
    folder.write("sound.py", "def f(): ...")
    folder.write("ending.py", "import os; os._exit(3)")
    assert functions.faults("sound.f", {}) == []
    assert functions.faults("ending.f", {}) != []
    for number in range(10):
        assert functions.faults(f"no_such_{number}.f", {}) != []
    known = [name for name in ("sound", "ending", "no_such_0") if functions.knows(f"{name}.f")]
    assert known == ["sound", "ending"]
    functions.close()
