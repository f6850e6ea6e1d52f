"""Whose commits changed the files of a folder."""

from collections.abc import Iterable
from pathlib import Path

from taskservice.domain.overlay import Declaration
from taskservice.domain.plan import DeclaredTask, Plan, StoredDeclaration
from taskservice.sync.gitrepo.authors import Authors
from taskservice.sync.gitrepo.head import Head, find_head
from tests.sync.gitrepo.test_blame import commit, git


def declared(path: str, *, committed: bool = True) -> DeclaredTask:
    made = Declaration(source="file", fields={}, path=path, revision="x" if committed else None)
    return DeclaredTask(declaration=made, digest="")


def asked(
    known: Authors,
    head: Head | None,
    write: Iterable[str] = (),
    retire: Iterable[str] = (),
    *,
    uncommitted: Iterable[str] = (),
) -> dict[str, str]:
    """The names of the authors by task, whose ids are the paths of their files."""
    candidates = {one: declared(one, committed=one not in uncommitted) for one in write}
    stored = {
        one: StoredDeclaration(source="file", digest="", path=one.split("#")[0], line=1)
        for one in retire
    }
    plan = Plan(write=tuple(write), retire=tuple(retire), missing={})
    return {key: one.name for key, one in known.of(plan, candidates, stored, head).items()}


def commit_by(top: Path, author: str, **texts: str | None) -> None:
    for name, text in texts.items():
        path = top / "tasks.d" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
    commit(top, author=author)


def test_of_each_file_the_last_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    (tmp_path / "a.yaml").write_text("elsewhere")
    commit_by(tmp_path, "Ann", a="1", b="1", c="1")
    commit_by(tmp_path, "Bob", b="2")
    known = Authors()
    head = find_head(tmp_path / "tasks.d")
    told = {"a.yaml": "Ann", "b.yaml": "Bob"}
    assert asked(known, head, ["a.yaml", "b.yaml", "no.yaml"]) == told
    assert asked(known, head, ["a.yaml"], uncommitted=["a.yaml"]) == {}
    # It stands in the commit still, or its file does, which has another task yet.
    assert asked(known, head, retire=["b.yaml"]) == {}
    assert asked(known, head, ["b.yaml"], ["b.yaml#2"]) == {"b.yaml": "Bob", "b.yaml#2": "Bob"}
    commit_by(tmp_path, "Cid", b=None)
    later = find_head(tmp_path / "tasks.d", head)
    assert asked(known, later, ["a.yaml"], ["b.yaml"]) == {"a.yaml": "Ann", "b.yaml": "Cid"}


def test_nobody_is_known_without_a_commit(tmp_path: Path) -> None:
    assert asked(Authors(), None, ["a.yaml"]) == {}
    assert asked(Authors(), Head(commit="0" * 40, blobs={}), ["a.yaml"]) == {}
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit_by(tmp_path, "Ann", a="1")
    head = find_head(tmp_path / "tasks.d")
    assert head
    gone = Head(commit="0" * 40, blobs={}, tree=head.tree)
    known = Authors()
    assert asked(known, gone, ["a.yaml"]) == {}
    assert asked(known, head) == {}


def test_a_branch_that_goes_back_is_looked_at_anew(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit_by(tmp_path, "Ann", a="1")
    known = Authors()
    assert asked(known, find_head(tmp_path / "tasks.d"), ["a.yaml"]) == {"a.yaml": "Ann"}
    git(tmp_path, "checkout", "--quiet", "--orphan", "other")
    commit_by(tmp_path, "Bob", a="2")
    assert asked(known, find_head(tmp_path / "tasks.d"), ["a.yaml"]) == {"a.yaml": "Bob"}
    git(tmp_path, "checkout", "--quiet", "main")
    assert asked(known, find_head(tmp_path / "tasks.d"), ["a.yaml"]) == {"a.yaml": "Ann"}


def test_files_at_the_top_and_names_that_mislead(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    (tmp_path / "中 文\n.yaml").write_text("a")
    commit(tmp_path, author="x" * 500)
    known = Authors()
    [name] = asked(known, find_head(tmp_path), ["中 文\n.yaml"]).values()
    assert name.startswith("xxx") and len(name) == 200
