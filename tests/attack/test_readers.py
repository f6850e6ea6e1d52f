"""Where the code reads what somebody else wrote, and which test attacks it there.

A module that begins to read a file, a message or a format of another kind fails here until its
attack is named.
"""

import ast
from pathlib import Path

import pytest

from tests.attack.surface import PACKAGE

TESTS = Path(__file__).parents[1]

READS = {
    *("open", "os.open", "os.read", "json.loads", "msgspec.json.decode", "pickle.loads"),
    *("parse_qsl", "yaml.compose", "csv.reader", "tomllib.load", "tomllib.loads"),
}
METHODS = {"read_bytes", "read_text", "recv_bytes", "body", "open"}

OWN = "its own"
"""What the service, or its system, wrote itself."""

ATTACKED_BY = {
    "cli/crontab.py": "cli/test_crontab.py",
    "cli/executions.py": "attack/test_terminal.py",
    "cli/forks.py": OWN,
    "cli/hiding.py": OWN,
    "cli/promote.py": "attack/test_promote.py",
    "cli/service_log.py": OWN,
    "engine/celery/pool.py": OWN,
    "engine/import_path.py": OWN,
    "engine/import_process.py": "attack/test_imports.py",
    "engine/importers.py": "attack/test_imports.py",
    "engine/owner.py": OWN,
    "engine/process.py": "engine/test_process.py",
    "engine/sources.py": "engine/test_importers.py",
    "engine/supervisor.py": "engine/test_process.py",
    "engine/worker.py": "engine/test_process.py",
    "examples_shell.py": "cli/test_crontab.py",
    "service/events.py": "attack/test_damaged_rows.py",
    "service/promoting.py": "attack/test_promote.py",
    "settings/database.py": "test_settings.py",
    "storage/damage.py": "attack/test_damaged_rows.py",
    "storage/dialects/sqlite.py": OWN,
    "sync/folder/confined.py": "attack/test_folder.py",
    "sync/folder/rescan.py": "attack/test_folder.py",
    "sync/gitrepo/checkout.py": "attack/test_repository.py",
    "sync/gitrepo/git.py": "attack/test_repository.py",
    "sync/gitrepo/remote.py": "attack/test_repository.py",
    "sync/gitrepo/signers.py": "sync/gitrepo/test_signers.py",
    "sync/gitrepo/work_tree.py": "attack/test_repository.py",
    "sync/text/yaml_walk.py": "sync/text/test_reader_hostile.py",
    "web/bodies.py": "attack/test_routes.py",
    "web/console/arguments.py": "attack/test_routes.py",
    "web/console/editing.py": "attack/test_routes.py",
    "web/console/executions.py": "attack/test_routes.py",
    "web/console/flash.py": "attack/test_routes.py",
    "web/console/language.py": OWN,
    "web/console/render.py": "attack/test_routes.py",
    "web/console/schedule.py": OWN,
    "web/console/static.py": OWN,
    "web/console/views.py": "attack/test_damaged_rows.py",
    "web/schemas/tasks.py": "attack/test_damaged_rows.py",
    "web/session.py": "attack/test_routes.py",
}


def readers() -> set[str]:
    """The modules that read something, by their path in the package."""
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(map(_reads, ast.walk(ast.parse(path.read_text("utf-8")))))
    }


def _reads(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func)
    return name in READS or name.rpartition(".")[2] in METHODS


def test_whatever_is_read_is_attacked() -> None:
    assert readers() == ATTACKED_BY.keys()


@pytest.mark.parametrize("test", sorted(set(ATTACKED_BY.values()) - {OWN}))
def test_the_attack_is_there(test: str) -> None:
    assert "def test_" in (TESTS / test).read_text("utf-8")
