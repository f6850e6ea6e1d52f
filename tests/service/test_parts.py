"""The service is made of parts: none of its classes inherits from another of them."""

import ast
from pathlib import Path

from taskservice import service

CLASSES = {
    node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
    for path in Path(service.__file__).parent.glob("*.py")
    for node in ast.walk(ast.parse(path.read_text("utf-8")))
    if isinstance(node, ast.ClassDef)
}


def test_no_class_inherits_from_another_of_the_service() -> None:
    assert {"Service", "Tasks", "Changes", "Executions", "Declarations", "Syncs"} <= CLASSES.keys()
    assert {name: bases for name, bases in CLASSES.items() if bases & CLASSES.keys()} == {}
