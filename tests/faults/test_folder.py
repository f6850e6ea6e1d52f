"""The folder changes in ways that no event tells of, or is stopped halfway."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.acceptance.process import wait_for
from tests.faults import audit
from tests.faults.audit import AGREES_LIMIT, agrees, task_text, write_tasks
from tests.faults.lab import Lab, write_file
from tests.faults.service import COMMAND

HALT_SECONDS, BROKEN_SECONDS = 3.0, 7.0
"""Shorter, and longer, than the five seconds after which a disappearance counts."""


def test_many_files_while_it_is_frozen(lab: Lab) -> None:
    """More files than the kernel keeps events for, when there are many."""
    content = {f"old-{number}": "0" for number in range(20)}
    write_tasks(lab.tasks_dir, content)
    service = lab.service()
    lab.start(service)
    audit.install(lab.url)
    agrees(lab, content)
    longest = slowest = 0.0
    for round_ in range(lab.length(1, 3)):
        service.freeze()
        for number in range(lab.length(1000, 12_000)):
            content[f"new-{number}"] = str(round_)
            write_tasks(lab.tasks_dir / f"folder-{number % 20}", {f"new-{number}": str(round_)})
        content["old-1"] = f"changed {round_}"
        write_tasks(lab.tasks_dir, {"old-1": content["old-1"]})
        service.thaw()
        lab.faults[f"{len(content)} files written while it was frozen"] += 1
        began = time.monotonic()
        while audit.table(lab.url) != content:
            asked = time.monotonic()
            assert service.http.get("/health/live").status_code == 200
            slowest = max(slowest, time.monotonic() - asked)
            assert asked < began + AGREES_LIMIT, "the table does not follow the folder"
        longest = max(longest, time.monotonic() - began)
    lab.seen.append(f"agreed after {longest:.0f} s, /health/live within {slowest:.2f} s at most")
    assert audit.events(lab.url) == []
    lab.finish()


def broken_round(lab: Lab, command: Sequence[str] = COMMAND) -> None:
    """Files that can't be understood for longer than a disappearance takes to count."""
    content = {f"task-{number}": "0" for number in range(8)}
    write_tasks(lab.tasks_dir, content)
    service = lab.service(command=command)
    lab.start(service)
    audit.install(lab.url)
    agrees(lab, content)
    for _ in range(lab.length(1, 10)):
        for task_id in lab.random.sample(sorted(content), 2):
            text = task_text(content[task_id])
            write_file(lab.tasks_dir / f"{task_id}.yaml", f"{text}  broken: [")
        lab.faults["files broken for a while"] += 2
        wait_for("it is told", lambda: len(service.get("/sync")["errors"]) == 2)
        time.sleep(BROKEN_SECONDS)
        lab.violations += [f"{event}: {task_id}" for task_id, event in audit.events(lab.url)]
        lab.verdict()
        write_tasks(lab.tasks_dir, content)
        wait_for("it is mended", lambda: not service.get("/sync")["errors"])
    agrees(lab, content)
    lab.finish()


def test_files_broken_for_a_while(lab: Lab) -> None:
    broken_round(lab)


def test_link_swapped_as_kubernetes_does(lab: Lab) -> None:
    content = {f"task-{number}": "0" for number in range(10)}
    _swap(lab.tasks_dir, content, 0)
    service = lab.service()
    lab.start(service)
    audit.install(lab.url)
    agrees(lab, content)
    slowest = 0.0
    for round_ in range(1, lab.length(3, 50) + 1):
        for task_id in lab.random.sample(sorted(content), 3):
            content[task_id] = str(round_)
        content[f"more-{round_}"] = str(round_)
        _swap(lab.tasks_dir, content, round_)
        lab.faults["the link swapped"] += 1
        slowest = max(slowest, agrees(lab, content))
    lab.seen.append(f"agreed after {slowest:.1f} s at most")
    assert audit.events(lab.url) == []
    lab.finish()


def test_checkout_stopped_midway(lab: Lab) -> None:
    count = lab.length(500, 5000)
    both = {f"task-{number}": "one" for number in range(count)}
    _git(lab.tasks_dir, "init", "--quiet", "--initial-branch", "one")
    write_tasks(lab.tasks_dir, both)
    _commit(lab.tasks_dir)
    _git(lab.tasks_dir, "checkout", "--quiet", "-b", "two")
    other = {task_id: "two" for task_id in both}
    write_tasks(lab.tasks_dir, other)
    _commit(lab.tasks_dir)
    service = lab.service()
    lab.start(service)
    audit.install(lab.url)
    agrees(lab, other)
    branches = {"one": both, "two": other}
    stopped = slowest = 0.0
    for round_ in range(lab.length(2, 50)):
        branch = ("one", "two")[round_ % 2]
        stopped += _checkout_with_a_halt(lab, branch)
        slowest = max(slowest, agrees(lab, branches[branch]))
    lab.faults["checkout stopped midway"] += int(stopped)
    lab.seen.append(f"agreed after {slowest:.1f} s at most")
    assert audit.events(lab.url) == []
    lab.finish()


def _checkout_with_a_halt(lab: Lab, branch: str) -> bool:
    """`git checkout`, stopped for a while when some files are new; whether it was midway."""
    lock = lab.tasks_dir / ".git" / "index.lock"
    git = subprocess.Popen(["git", "checkout", "--quiet", branch], cwd=lab.tasks_dir)
    try:
        while not lock.exists() and git.poll() is None:
            pass
        lab.pause(0.0, 0.05)
        git.send_signal(signal.SIGSTOP)
        midway = len({path.read_text() for path in _changed(lab.tasks_dir)}) > 1
        time.sleep(HALT_SECONDS)
    finally:
        git.send_signal(signal.SIGCONT)
        assert git.wait(60) == 0
    return midway


def _changed(folder: Path) -> list[Path]:
    """The first and the last file in git's order: they differ when it is midway."""
    files = sorted(folder.glob("*.yaml"))
    return [files[0], files[-1]]


def _swap(folder: Path, content: Mapping[str, str], number: int) -> None:
    """Publish files as a kubelet does: all at once, by a link to a new folder."""
    data = folder / "..data"
    before = data.resolve() if data.is_symlink() else None
    fresh = folder / f"..2026_{number}"
    write_tasks(fresh, content)
    draft = folder / "..data_tmp"
    draft.symlink_to(fresh.name)
    draft.replace(data)
    for task_id in content:
        link = folder / f"{task_id}.yaml"
        if not link.is_symlink():
            link.symlink_to(f"..data/{task_id}.yaml")
    if before:
        shutil.rmtree(before)


def _git(folder: Path, *arguments: str) -> None:
    person = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", *person, *arguments], cwd=folder, env=environ, check=True)


def _commit(folder: Path) -> None:
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--message", "change")
