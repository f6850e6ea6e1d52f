"""A tasks folder that means harm: links that lead out of it, special files, strange names."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.process import wait_for
from tests.acceptance.warm import WarmService

SECRET = "hunter2"
TASK = (
    "name: {name}\ntask_type: x\ntrigger_type: interval\ntrigger_args: {{hours: 1}}\n"
    "func_path: taskservice.examples.notification_task\n"
    "func_args: {{user_id: u, message: m, channel: c}}\n"
)
LEADS_OUT = "is a link that leads out of the tasks folder, and is not followed"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "tasks.d"
    made.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "secret").write_text(f"{SECRET}: [\n")
    (tmp_path / "outside/secret.yaml").write_text(f"{SECRET}: [\n")
    (made / "file.yaml").symlink_to("../secret")
    (made / "through.yaml").symlink_to("out/secret.yaml")
    (made / "out").symlink_to("../outside")
    (made / "usr").symlink_to("/usr")
    (made / "own.yaml").symlink_to("/proc/self/environ")
    (made / "zero.yaml").symlink_to("/dev/zero")
    (made / "round").symlink_to(".")
    os.mkfifo(made / "pipe.yaml")
    return made


@pytest.fixture
def service(folder: Path, tmp_path: Path) -> Iterator[WarmService]:
    with WarmService(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}", folder) as running:
        yield running


def test_nothing_outside_of_the_folder_is_shown_and_no_save_waits(
    service: WarmService, folder: Path
) -> None:
    report = service.send("POST", "/sync")
    refused = {error["path"] for error in report["errors"] if error["reason"] == LEADS_OUT}
    assert refused == {"file.yaml", "through.yaml", "out", "usr", "own.yaml", "zero.yaml"}
    assert {error["path"] for error in report["errors"]} - refused == {"pipe.yaml"}
    for path in ("/sync", "/schedule/folder", "/folder"):
        assert SECRET not in service.http.get(path, headers={"Accept": "text/html"}).text
    service.write("sound.yaml", TASK.format(name="One"))
    wait_for("a save is live", lambda: service.task("sound"), seconds=5)
    # A sound file that becomes a link out is at fault, and its task goes on as it was.
    (folder / ".link").symlink_to("../secret")
    (folder / ".link").replace(folder / "sound.yaml")

    def is_refused() -> bool:
        errors = service.get("/sync")["errors"]
        return any((one["path"], one["reason"]) == ("sound.yaml", LEADS_OUT) for one in errors)

    wait_for("the link is refused", is_refused)
    assert (service.task("sound") or {})["name"] == "One"


def test_a_folder_that_becomes_a_link_out_retires_nothing(
    service: WarmService, folder: Path
) -> None:
    (folder / "sub").mkdir()
    service.write("sub/sound.yaml", TASK.format(name="One"))
    wait_for("a save is live", lambda: service.task("sound"), seconds=5)
    (folder / "sub").rename(folder / ".sub")
    (folder / "sub").symlink_to("../outside")
    report = service.send("POST", "/sync")
    assert ("sub", LEADS_OUT) in {(one["path"], one["reason"]) for one in report["errors"]}
    assert report["retired"] == []
    (folder / "sub").unlink()
    (folder / "sub").symlink_to(".sub")  # one that stays inside is followed
    service.write("sub/sound.yaml", TASK.format(name="Two"))
    wait_for("a save is live", lambda: (service.task("sound") or {})["name"] == "Two", seconds=5)


def test_a_name_that_is_not_utf8_ends_no_live_watch(service: WarmService, folder: Path) -> None:
    for number in range(3):
        (folder / os.fsdecode(b"\xff.log")).write_text(f"{number}")
        (folder / os.fsdecode(b"\xfe.yaml")).write_text(f"{number}")
        service.write("sound.yaml", TASK.format(name=f"Name {number}"))

        def is_live(wanted: str = f"Name {number}") -> bool:
            return (service.task("sound") or {}).get("name") == wanted

        wait_for("a save is live", is_live, seconds=10)
    errors = service.get("/sync")["errors"]
    assert ("\ufffd.yaml", "the file's name is not UTF-8") in {
        (one["path"], one["reason"]) for one in errors
    }


@pytest.mark.parametrize("command", [["validate"], ["plan", "--against", "none", "--no-import"]])
def test_no_command_shows_what_is_outside(folder: Path, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "none").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "taskservice", command[0], str(folder), *command[1:]],
        capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.count(LEADS_OUT) == 6
    assert SECRET not in done.stdout + done.stderr


def test_validate_follows_no_link_out_of_the_folder_of_a_file(folder: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "taskservice", "validate", str(folder / "file.yaml")],
        capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert LEADS_OUT in done.stdout
    assert SECRET not in done.stdout + done.stderr
