"""Only the modules of the dialects know which databases there are."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "taskservice"

# The modules of the dialects; migrations, each of which is what it was when it was written; and
# what says which URLs there are, as settings know nothing of storage.
MAY_ASK = ("storage/dialects/", "storage/migrations/", "settings/database.py")


def asking(source: str) -> Iterator[int]:
    """The lines that ask which database there is, or name what only one of them has."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case (
                ast.Constant(value="sqlite" | "mysql" | "mariadb")
                | ast.Attribute(attr="name", value=ast.Attribute(attr="dialect"))
                | ast.Attribute(attr="get_backend_name" | "is_sqlite" | "is_mysql" | "is_mariadb")
                | ast.Name(id="is_sqlite" | "is_mysql" | "is_mariadb")
            ):
                yield node.lineno
            case ast.ImportFrom(module=str(module)) if module.startswith("sqlalchemy.dialects"):
                yield node.lineno


FILES = sorted(FOLDER.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_nothing_else_asks_for_a_database(path: Path) -> None:
    if not str(path.relative_to(FOLDER)).startswith(MAY_ASK):
        assert list(asking(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        'if connection.dialect.name == "sqlite": pass',
        'mysql = dialect.name in ("mysql", "mariadb")',
        'statements = {"mysql": 1, "sqlite": 2}',
        'statements["mysql"]',
        "if database.is_sqlite: pass",
        'Index("idx", "status").ddl_if(dialect="mysql")',
        'Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb")',
        "from sqlalchemy.dialects.mysql import DATETIME",
        "url.get_backend_name()",
    ],
)
def test_one_who_asks_is_found(source: str) -> None:
    assert list(asking(source))


def test_the_modules_of_the_dialects_are_there() -> None:
    found = {str(path.relative_to(FOLDER)) for path in FILES}
    assert {f"storage/dialects/{name}.py" for name in ("sqlite", "mysql")} <= found
