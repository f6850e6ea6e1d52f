"""The diff of one file, applied by the programs that it is for."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskservice.sync.text.diff import unified_diff

TEXTS = [
    *("", "a\n", "a", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n", "a\nb\nc\nd\ne\nf\ng\nh\ni\nJ"),
    *("a\r\nb\r\n", "a\rb\x85c\u2028d\x0ce\n", "\ufeffé😀\n", "--- a\n+++ b\n@@ -1 +1 @@\n"),
]
PAIRS = [(one, other) for one in [*TEXTS, None] for other in [*TEXTS, None] if one != other]
NAMES = ["reports.yaml", "sub/deeper/x.yml", "with space.yaml", "日报.yaml", 'quo"te.yaml',
         "back\\slash.yaml", "line\nbreak\ttab\x01.yaml", "-dash.yaml"]  # fmt: skip


def apply(command: list[str], folder: Path, diff: str) -> None:
    done = subprocess.run(
        command, cwd=folder, input=diff.encode(), capture_output=True, check=False
    )
    assert done.returncode == 0, (done.stdout, done.stderr, diff)


def check(
    command: list[str], folder: Path, name: str, before: str | None, after: str | None
) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if before is None:
        file.unlink(missing_ok=True)
    else:
        file.write_bytes(before.encode())
    apply(command, folder, unified_diff(name, before, after))
    assert (file.read_bytes().decode() if file.exists() else None) == after
    file.unlink(missing_ok=True)


PATCH = ["patch", "-p1", "--force"]
GIT = ["git", "apply", "-"]
by_both = pytest.mark.parametrize("command", [PATCH, GIT], ids=["patch", "git"])


@by_both
@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_found(command: list[str], name: str, tmp_path: Path) -> None:
    for before, after in (("a\nb\n", "a\nc\n"), ("a\nb\n", None), (None, "a\n")):
        check(command, tmp_path, name, before, after)


# Of an empty file no diff can say that it comes or goes: it has no line.
@by_both
@pytest.mark.parametrize(("before", "after"), [pair for pair in PAIRS if set(pair) != {"", None}])
def test_every_text_is_made(
    command: list[str], before: str | None, after: str | None, tmp_path: Path
) -> None:
    if command == GIT:  # without a repository around it, it would take the checkout's
        subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    check(command, tmp_path, "x.yaml", before, after)


@by_both
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text("ab\n\r", min_size=1, max_size=30), st.text("ab\n\r", min_size=1, max_size=30))
def test_any_text(command: list[str], tmp_path: Path, before: str, after: str) -> None:
    if before != after:
        check(command, tmp_path, "x.yaml", before, after)


def test_it_reads_as_people_know_it() -> None:
    before = "".join(f"{number}\n" for number in range(1, 10)) + "end"
    after = before.replace("5\n", "five\n")
    assert unified_diff("sub/x.yaml", before, after) == (
        "--- a/sub/x.yaml\n+++ b/sub/x.yaml\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"
    )
    assert unified_diff("x.yaml", "a", "b") == (
        "--- a/x.yaml\n+++ b/x.yaml\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n"
        "+b\n\\ No newline at end of file\n"
    )
    assert unified_diff("x.yaml", None, "a\n") == "--- /dev/null\n+++ b/x.yaml\n@@ -0,0 +1 @@\n+a\n"
    assert unified_diff("x.yaml", "a\n", None) == "--- a/x.yaml\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"


def test_no_change_is_no_diff() -> None:
    assert unified_diff("x.yaml", "a", "a") == ""


few_lines = st.lists(st.sampled_from("abc"), max_size=12).map(
    lambda one: "".join(f"{x}\n" for x in one)
)


@settings(max_examples=300, deadline=None)
@given(few_lines, few_lines, few_lines, st.booleans())
def test_one_piece_among_like_lines_is_only_itself(
    above: str, piece: str, below: str, comes: bool
) -> None:
    texts = (above + below, above + piece + below)
    diff = unified_diff("x.yaml", *(texts if comes else texts[::-1]))
    changed = [line[:1] for line in diff.split("\n")[2:] if line.startswith(("+", "-"))]
    assert changed == ["+" if comes else "-"] * piece.count("\n")


def test_a_large_file_of_like_lines_is_quick_and_exact() -> None:
    lines = [f"  t{number}:\n    name: n\n    paused: false\n" for number in range(10_000)]
    before = "".join(lines)
    lines[3] += "    timeout: 5\n"
    lines[-2] = ""
    lines[5000] = lines[5000].replace("false", "true")
    diff = unified_diff("x.yaml", before, "".join(lines)).split("\n")
    assert [line for line in diff[2:] if line.startswith(("+", "-"))] == [
        "+    timeout: 5", "-    paused: false", "+    paused: true",
        "-  t9998:", "-    name: n", "-    paused: false",
    ]  # fmt: skip
    assert sum(line.startswith("@@") for line in diff) == 3


@by_both
def test_a_file_of_other_lines_is_another_file(command: list[str], tmp_path: Path) -> None:
    before, after = ("".join(f"{word} {x}\n" for x in range(1500)) for word in ("a", "b"))
    check(command, tmp_path, "x.yaml", f"first\n{before}", f"first\n{after}")
