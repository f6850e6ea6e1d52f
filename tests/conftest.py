"""Fixtures that every room's tests share."""

import asyncio
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pymysql
import pytest
from sqlalchemy.engine import make_url

from taskservice.storage.database import Database
from taskservice.storage.schema import prepare
from taskservice.storage.tables import metadata
from tests import like_mysql, statements
from tests.brokers import Broker, RabbitMQ, Redis
from tests.databases import CLOSE_LIMIT, MYSQL, MariaDB, new_server, open_files
from tests.planted_secrets import shown_in

# A slow machine is no fault of the code: how long one example takes is not judged. Each run has
# others, so half as many as usual do for one.
hypothesis.settings.register_profile("taskservice", deadline=None, print_blob=True, max_examples=50)
hypothesis.settings.load_profile("taskservice")


SENT = pytest.StashKey[set[str]]()
REFUSED = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--mysql-grammar",
        action="store_true",
        help="fail where a statement that any test sends to MariaDB is none of MySQL 8",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--mysql-grammar"):
        config.stash[SENT] = statements.listen()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that need a MariaDB, which `make check` leaves out."""
    for item in items:
        if isinstance(item, pytest.Function):
            given = item.callspec.params.values() if hasattr(item, "callspec") else ()
            if "mariadb_server" in item.fixturenames or "mariadb" in given:
                item.add_marker("mariadb")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fails a test in which a secret was printed or logged, by whatever ran in it."""
    report = yield
    if shown := shown_in(text for _, text in report.sections):
        report.outcome = "failed"
        report.longrepr = f"printed or logged, and is a secret: {', '.join(sorted(shown))}"
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Takes what a worker of pytest-xdist hands over at its end."""
    if SENT in node.config.stash:
        node.config.stash[SENT].update(getattr(node, "workeroutput", {}).get("statements", ()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Has what all tests sent read, where they are at their end; a worker hands it over."""
    config = session.config
    if SENT not in config.stash:
        return
    sent = config.stash[SENT]
    if hasattr(config, "workeroutput"):
        config.workeroutput["statements"] = sorted(sent)
        return
    config.stash[REFUSED] = statements.refused(sent)
    if config.stash[REFUSED]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    found = terminalreporter.config.stash.get(REFUSED, None)
    if found is not None:
        read = len(terminalreporter.config.stash[SENT])
        terminalreporter.section(f"statements that MySQL 8 would refuse: {len(found)} of {read}")
        for statement, fault in found.items():
            terminalreporter.line(f"{fault}:\n{statement}\n")


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDB]:
    """The private MariaDB of this test run. A missing server is an error, never a skip."""
    with new_server() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """The private Redis of this test run."""
    with Redis() as broker:
        yield broker


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitMQ]:
    """The private RabbitMQ of this test run: its start takes ten seconds."""
    with RabbitMQ() as broker:
        yield broker


@pytest.fixture
def redis(redis_server: Redis) -> Iterator[Redis]:
    """A Redis that may be killed and frozen, and is found empty."""
    with redis_server.client() as client:
        client.flushall()
    yield redis_server
    restored(redis_server)


@pytest.fixture
def rabbitmq(rabbitmq_server: RabbitMQ) -> Iterator[RabbitMQ]:
    """A RabbitMQ that may be killed and frozen; its queues are of the test's own names."""
    yield rabbitmq_server
    restored(rabbitmq_server)


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> Broker:
    """A broker of each kind, which may be killed and frozen."""
    found: Broker = request.getfixturevalue(request.param)
    return found


def restored(broker: Broker) -> None:
    """The broker answers, whatever was done to it: the next test needs it."""
    if broker.alive:
        broker.thaw()
    else:
        broker.start()


@pytest.fixture(params=["sqlite", "mariadb"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh, empty database, on SQLite and on MariaDB.

    The test fails if it leaves a connection to it open.
    """
    if request.param == "sqlite":
        path = tmp_path / "taskservice.db"
        yield f"sqlite+aiosqlite:///{path}"
        wait_until_none(lambda: open_files(path))
        return
    server: MariaDB = request.getfixturevalue("mariadb_server")
    url = server.create_database()
    yield url
    try:
        wait_until_none(lambda: server.connections(url))
    finally:
        server.drop_database(url)


@pytest.fixture(scope="session")
def mariadb_tables(mariadb_server: MariaDB) -> Iterator[str]:
    """The URL of one MariaDB database with its tables: making them anew takes long.

    JSON comes back from them as it does from MySQL.
    """
    url = mariadb_server.create_database()
    asyncio.run(_prepared(url))
    if not MYSQL:
        mariadb_server.run(*like_mysql.statements(), url=url)
    yield url
    mariadb_server.drop_database(url)


@pytest.fixture(scope="session")
def sqlite_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with its tables, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "tables.db"
    asyncio.run(_prepared(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(params=["sqlite", "mariadb"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database whose tables are there and empty, on SQLite and on MariaDB.

    The test fails if it leaves a connection to it open.
    """
    if request.param == "sqlite":
        path = tmp_path / "taskservice.db"
        shutil.copy(request.getfixturevalue("sqlite_tables"), path)
        yield f"sqlite+aiosqlite:///{path}"
        wait_until_none(lambda: open_files(path))
        return
    server: MariaDB = request.getfixturevalue("mariadb_server")
    url = request.getfixturevalue("mariadb_tables")
    _empty(url)
    yield url
    wait_until_none(lambda: server.connections(url))


def wait_until_none(still_open: Callable[[], object]) -> None:
    """Fails when `still_open` keeps naming something: closing takes a moment, a leak stays."""
    limit = time.monotonic() + CLOSE_LIMIT
    while left := still_open():
        assert time.monotonic() < limit, f"connections were left open: {left}"
        time.sleep(0.01)


async def _prepared(url: str) -> None:
    database = Database(url)
    await prepare(database)
    await database.close()


def _empty(url: str) -> None:
    parts = make_url(url)
    connection = pymysql.connect(
        host=parts.host, port=parts.port or 0, user=parts.username,
        password=parts.password or "", database=parts.database, autocommit=True,
    )  # fmt: skip
    with connection, connection.cursor() as cursor:
        for table in reversed(metadata.sorted_tables):
            cursor.execute(f"DELETE FROM {table.name}")
