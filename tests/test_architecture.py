"""`docs/architecture.md` names what there is."""

import ast
import re
from pathlib import Path

TOP = Path(__file__).parent.parent
PACKAGE = TOP / "taskservice"
TEXT = (TOP / "docs" / "architecture.md").read_text("utf-8")
ROOMS = sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file())

NAMED = re.compile(rf"\b((?:{'|'.join(ROOMS)})/[\w/]+\.py)(?:::(\w+)(?:\.(\w+))?)?")


def test_each_name_exists() -> None:
    found = NAMED.findall(TEXT)
    assert len(found) > 80
    wrong = ["::".join(filter(None, one)) for one in sorted(set(found)) if not is_there(*one)]
    assert wrong == []


def test_each_room_is_told_of() -> None:
    rows = re.findall(r"^\| `([\w/]+)/` \|", TEXT, re.MULTILINE)
    inner = ["engine/celery", "sync/folder", "sync/gitrepo", "sync/text", "storage/dialects"]
    assert sorted(rows) == sorted([*ROOMS, *inner])


def test_a_name_that_is_gone_is_found() -> None:
    assert is_there("domain/task.py", "Task", "")
    assert is_there("domain/task.py", "Task", "definition")
    assert not is_there("domain/task.py", "Task", "no_such")
    assert not is_there("domain/task.py", "no_such", "")
    assert not is_there("domain/no_such.py", "", "")


def is_there(path: str, name: str, member: str) -> bool:
    """Whether a module of the package has this name, and its class this member."""
    module = PACKAGE / path
    if not module.is_file():
        return False
    body = ast.parse(module.read_text("utf-8")).body
    for wanted in filter(None, (name, member)):
        found = [node for node in body if wanted in names_of(node)]
        if not found:
            return False
        body = getattr(found[0], "body", [])
    return True


def names_of(node: ast.stmt) -> set[str]:
    """What a statement gives a name to, in a module or a class."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {node.name}
        case ast.Assign():
            return {target.id for target in node.targets if isinstance(target, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    return set()
