"""What the project's own files say about it must be so."""

import ast
import configparser
import inspect
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pytest
import rich_click as click

import taskservice
from taskservice.cli import PANELS
from taskservice.domain.json_schema import NEEDED
from taskservice.domain.task import FIELDS, OPTIONAL, Task, parse_task
from taskservice.engine.functions import Functions
from taskservice.settings import PREFIX, Settings
from taskservice.sync.text.reader import AuthoredTask, read_file

TOP = Path(__file__).parent.parent
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]
READMES = ["README.md", "docs/README.zh-CN.md"]
DOCUMENTS = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *sorted(str(path.relative_to(TOP)) for path in (TOP / "docs").glob("*.md")),
]
EXAMPLES = sorted((TOP / "tasks.d").rglob("*.y*ml"))
EMPTY = {"empty", "空"}

each_readme = pytest.mark.parametrize("readme", READMES)
each_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)


class Block(NamedTuple):
    """A fenced block of code, and the `<!-- marker -->` right above it, if there is one."""

    marker: str
    language: str
    code: str


def read(name: str) -> str:
    return (TOP / name).read_text("utf-8")


def blocks(text: str) -> list[Block]:
    fence = r"(?:^<!-- (.+?) -->\n)?^```(\w*)\n(.*?)^```$"
    return [Block(*found) for found in re.findall(fence, text, re.MULTILINE | re.DOTALL)]


def block_of(readme: str, wanted: Callable[[Block], bool]) -> str:
    """The code of the only block that is wanted."""
    (found,) = filter(wanted, blocks(read(readme)))
    return found.code


def without_blocks(text: str) -> str:
    """The prose, with an empty fence where a block stood."""
    return re.sub(r"^```.*?^```$", "```", text, flags=re.MULTILINE | re.DOTALL)


def without_comments(code: str) -> list[str]:
    lines = (re.sub(r"(^|\s+)#.*", "", line) for line in code.splitlines())
    return [line for line in lines if line]


def targets() -> set[str]:
    phony = re.search(r"^\.PHONY: (.+)$", read("Makefile"), re.MULTILINE)
    assert phony is not None
    return set(phony[1].split())


def normal(name: str) -> str:
    """A package's name as PEP 503 compares it, without extras and versions."""
    bare = re.match(r"[\w.-]+", name)
    assert bare is not None, name
    return re.sub(r"[-_.]+", "-", bare[0]).lower()


def settings_table(readme: str) -> list[tuple[str, str]]:
    """Each variable of the README's table with its default, as one would set it."""
    table = read(readme).partition("<!-- settings -->\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]
    assert all(default in EMPTY or default[0] == default[-1] == "`" for _, default, _ in rows)
    return [
        (name.strip("`"), "" if default in EMPTY else default.strip("`"))
        for name, default, _ in rows
    ]


@each_readme
def test_the_settings_table_is_that_of_the_settings(
    readme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(TOP)
    table = settings_table(readme)
    names = [PREFIX + field.name.upper() for field in fields(Settings)]
    channels = names.index(f"{PREFIX}CHANNELS")
    names[channels] = f"{PREFIX}CHANNEL_…"  # a variable for each
    assert [name for name, _ in table] == names
    assert Settings.from_environment(dict(table)) == Settings()


def test_the_table_of_fields_is_that_of_the_task() -> None:
    table = read("docs/gitops.md").partition("<!-- fields -->\n")[2].partition("\n\n")[0]
    assert table.splitlines()[2:] == [
        f"| `{name}` | {_default(name)} | {field.meaning} |" for name, field in FIELDS.items()
    ]


def _default(name: str) -> str:
    return "required" if name in NEEDED else f"`{json.dumps(OPTIONAL[name])}`"


@each_readme
def test_the_commands_table_is_that_of_the_commands(readme: str) -> None:
    table = read(readme).partition("<!-- commands -->\n")[2].partition("\n\n")[0]
    told = re.findall(r"^\| `([\w-]+)(.*?)` \|", table, re.MULTILINE)
    members = [command for panel in PANELS.values() for command in panel]
    assert [name for name, _ in told] == [command.name for command in members]
    for (name, arguments), command in zip(told, members, strict=True):
        context = click.Context(command, info_name=name)
        taken = [p.make_metavar(context) for p in command.params if isinstance(p, click.Argument)]
        assert arguments.split() == taken, name


def task_of(authored: Mapping[str, object]) -> Task:
    task = parse_task(authored, zone=UTC)
    functions = Functions(Settings().functions)
    assert functions.faults(task.func_path, task.func_args) == []
    return task


def authored_in(path: str, data: bytes) -> tuple[AuthoredTask, ...]:
    content = read_file(path, data)
    assert content.faults == ()
    return content.tasks


@each_readme
def test_the_task_file_is_sound_and_the_request_says_the_same(readme: str) -> None:
    text = block_of(readme, lambda block: block.marker.startswith("task: "))
    named = re.match(r"# tasks\.d/(\S+) → id (\S+)\n", text)
    assert named is not None
    (declared,) = authored_in(named[1], text.encode())
    assert declared.task_id == named[2]

    command = block_of(readme, lambda block: block.marker == f"curl: {named[2]}")
    request = re.fullmatch(
        r"curl -s (\S+) -H 'Content-Type: application/json' -d '(\{.*\})'\n", command, re.DOTALL
    )
    assert request is not None
    assert urlsplit(request[1]).path == "/task-manage/"
    body = json.loads(request[2])
    assert body.pop("id") == declared.task_id
    assert task_of(body) == task_of(declared.fields)


@each_readme
def test_the_python_example_runs_as_it_stands(readme: str) -> None:
    code = block_of(readme, lambda block: block.language == "python")
    defined: dict[str, object] = {}
    exec(compile(ast.parse(code), readme, "exec"), defined)
    assert inspect.iscoroutinefunction(defined["daily"])


@each_readme
def test_production_is_set_up_with_names_that_fit_together(readme: str, tmp_path: Path) -> None:
    sql = block_of(readme, lambda block: block.language == "sql")
    database = re.search(r"^CREATE DATABASE (\w+) CHARACTER SET utf8mb4;$", sql, re.MULTILINE)
    user = re.search(r"^CREATE USER (\w+)@localhost IDENTIFIED BY '(.+)';$", sql, re.MULTILINE)
    assert database is not None
    assert user is not None
    assert f"GRANT ALL ON {database[1]}.* TO {user[1]}@localhost;" in sql

    unit = configparser.RawConfigParser()
    unit.read_string(block_of(readme, lambda block: block.language == "ini"))
    assert unit.sections() == ["Unit", "Service", "Install"]
    service = unit["Service"]
    assert service["ExecStart"] == f"{service['WorkingDirectory']}/.venv/bin/taskservice run"
    # However long the database is away at boot, the service is started again (systemd.unit(5)
    # and systemd.service(5): by default no more than five times within ten seconds).
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert (service["Restart"], service["RestartSec"]) == ("on-failure", "5")
    assert unit["Unit"]["Wants"] == "network-online.target"
    assert unit["Unit"]["After"].split() == [
        "network-online.target", "mariadb.service", "mysql.service",
    ]  # fmt: skip

    file = f"# {service['EnvironmentFile']}"
    environment = dict(
        line.split("=", 1)
        for line in without_comments(block_of(readme, lambda block: block.code.startswith(file)))
    )
    environment[f"{PREFIX}TASKS_DIR"] = str(tmp_path)
    settings = Settings.from_environment(environment)
    address = urlsplit(settings.database_url)
    assert (address.username, address.password, address.hostname, address.path) == (
        *user.groups(), "localhost", f"/{database[1]}",
    )  # fmt: skip
    assert float(service["TimeoutStopSec"]) > settings.shutdown_grace


def test_both_readmes_have_the_same_structure_settings_and_code() -> None:
    english, chinese = map(read, READMES)

    def outline(text: str) -> list[str]:
        marks = r"^(#+ |<!-- .+ -->$|```$|\||\d+\. |- )"
        return re.findall(marks, without_blocks(text), re.MULTILINE)

    def names(text: str) -> set[str]:
        return set(re.findall(r"`([^`\n]+)`", without_blocks(text)))

    assert outline(english) == outline(chinese)
    assert names(english) == names(chinese)
    assert settings_table(READMES[0]) == settings_table(READMES[1])
    for ours, theirs in zip(blocks(english), blocks(chinese), strict=True):
        assert (ours.marker, ours.language) == (theirs.marker, theirs.language)
        if ours.language == "text":
            # A picture's words are translated; what a reader may type from it is not.
            literal = r"https?://\S+|\S+\.yaml|(?:GET|PUT|POST|DELETE) \S+|\w+\?\S+"
            assert re.findall(literal, ours.code) == re.findall(literal, theirs.code)
        else:
            assert without_comments(ours.code) == without_comments(theirs.code)


@each_example
def test_every_example_is_sound(path: Path) -> None:
    assert [task_of(task.fields) for task in authored_in(path.name, path.read_bytes())]


def test_the_examples_show_every_trigger_and_a_file_of_several_tasks() -> None:
    files = [authored_in(path.name, path.read_bytes()) for path in EXAMPLES]
    assert len(files) >= 5
    assert {len(tasks) > 1 for tasks in files} == {True, False}
    tasks = [task for tasks in files for task in tasks]
    assert {task.fields["trigger_type"] for task in tasks} == {"date", "interval", "cron"}
    assert len({task.task_id for task in tasks}) == len(tasks)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_relative_links_lead_to_files(document: str) -> None:
    found = re.findall(r"\]\(([^)\s]+)\)", without_blocks(read(document)))
    links = [urlsplit(link) for link in found]
    paths = [unquote(link.path) for link in links if not link.scheme and link.path]
    assert [path for path in paths if not (TOP / document).parent.joinpath(path).exists()] == []


def test_the_consoles_pictures_are_those_its_command_makes() -> None:
    text = read("docs/console.md")
    shown = re.findall(r"console/([\w-]+)\.png", text)
    command = text.rpartition("--only")[2].partition("```")[0]
    assert shown and set(shown) == set(re.findall(r"[\w-]+", command))
    sizes = {path.stem: path.stat().st_size for path in (TOP / "docs" / "console").iterdir()}
    assert sizes.keys() == set(shown)
    assert max(sizes.values()) < 150_000 and sum(sizes.values()) < 1_000_000


def test_the_readmes_lead_to_one_another() -> None:
    english, chinese = READMES
    assert f"]({chinese})" in read(english)
    assert "](../README.md)" in read(chinese)


def test_make_has_these_targets_and_no_other() -> None:
    makefile = read("Makefile")
    assert targets() == {"run", "check", "test", "coverage", "test-mysql", "soak", "lint", "clean"}
    named = set(re.findall(r"^([A-Za-z][\w-]*):(?!=)", makefile, re.MULTILINE))
    assert named == targets()


def test_contributing_tells_of_every_target() -> None:
    told = re.findall(r"^\| `make ([\w-]+)`", read("CONTRIBUTING.md"), re.MULTILINE)
    assert sorted(told) == sorted(targets())
    assert len(read("CONTRIBUTING.md").splitlines()) <= 40


def test_ci_calls_lint_and_test_and_nothing_else_of_make() -> None:
    assert re.findall(r"^make (.+)$", read(".ci/run"), re.MULTILINE) == ["lint", "test"]


def test_every_library_is_locked_to_one_version() -> None:
    lines = read("constraints.txt").splitlines()
    for line in lines:
        assert re.fullmatch(r"[\w.-]+==[\w.]+", line), line
    locked = {normal(line) for line in lines}
    assert len(locked) == len(lines)
    wanted = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
    assert {normal(name) for name in wanted} <= locked


def test_the_changelog_begins_with_what_is_unreleased() -> None:
    first, *released = re.split(r"^## ", read("CHANGELOG.md"), flags=re.MULTILINE)[1:]
    assert first.startswith("[Unreleased]\n")
    assert re.search(r"^### (Added|Changed|Fixed|Removed)\n\n- ", first, re.MULTILINE)
    if released:
        assert released[0].startswith(f"[{taskservice.__version__}]")


@each_readme
def test_the_version_is_said_once_and_shown_as_it_is(readme: str) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", taskservice.__version__)
    assert "version" in PROJECT["dynamic"]
    shown = re.search(r"^taskservice (\d[\d.]*\d)", read(readme), re.MULTILINE)
    assert shown is not None
    assert shown[1] == taskservice.__version__


@pytest.mark.parametrize("name", ["taskservice/py.typed", "LICENSE", "schema.sql", ".ci/run"])
def test_the_files_that_tools_need_are_there(name: str) -> None:
    assert (TOP / name).is_file()
