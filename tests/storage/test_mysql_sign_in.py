"""MySQL 8's own way to sign in, over plain TCP and over TLS, by a stand-in that speaks it."""

import ipaddress
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pymysql
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy.engine import make_url

from taskservice.domain.errors import StartError
from taskservice.storage.database import Database
from taskservice.storage.key_values import get_value, set_value
from taskservice.storage.schema import prepare
from tests.databases import MariaDB
from tests.storage.sha2_server import Sha2Server

USER, PASSWORD = "ann", "pässword 密码: @/#"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for 127.0.0.1 that it signed itself."""
    return self_signed(tmp_path_factory.mktemp("tls") / "stand-in.pem")


def self_signed(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stand-in")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form, secret = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    path.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, form, secret))
    return path


@pytest.fixture
def name(mariadb_server: MariaDB) -> Iterator[str]:
    """The name of an empty database behind the stand-in."""
    url = mariadb_server.create_database()
    yield url.rpartition("/")[2]
    mariadb_server.drop_database(url)


@contextmanager
def standing_in(
    mariadb_server: MariaDB, name: str, certificate: Path | None = None
) -> Iterator[tuple[Sha2Server, Callable[..., str]]]:
    """The stand-in, and what makes a URL for it."""
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    behind = mariadb_server.folder / "socket"
    with Sha2Server(behind, user=USER, password=PASSWORD, tls=tls) as server:

        def url(user: str = USER, password: str = PASSWORD, **query: str) -> str:
            plain = make_url(f"mysql+asyncmy://127.0.0.1:{server.port}/{name}")
            full = plain.set(username=user, password=password, query=query)
            return full.render_as_string(hide_password=False)

        yield server, url


async def works(url: str) -> None:
    """Make the tables, write, read and take the scheduler's lock."""
    database = Database(url)
    lock = database.scheduler_lock()
    try:
        await prepare(database)
        await database.write(lambda connection: set_value(connection, "a", {"文": "字"}))
        async with database.read() as connection:
            assert await get_value(connection, "a") == {"文": "字"}
        assert await lock.take(1)
        assert await lock.is_held()
    finally:
        await lock.give_back()
        await database.close()


async def refused(url: str) -> str:
    """The one line that a start with this URL ends with."""
    database = Database(url)
    try:
        with pytest.raises(StartError) as caught:
            await prepare(database)
    finally:
        await database.close()
    line = str(caught.value)
    assert "\n" not in line and PASSWORD not in line
    assert line.startswith("no database at mysql+asyncmy://")
    assert line.endswith("; check TASKSERVICE_DATABASE_URL")
    return line


async def test_over_plain_tcp_the_password_is_sent_encrypted_once(
    mariadb_server: MariaDB, name: str
) -> None:
    with standing_in(mariadb_server, name) as (server, url):
        await works(url())
        assert server.ways[0] == "rsa" and set(list(server.ways)[1:]) == {"fast"}
        server.forget()
        server.ways.clear()
        await works(url())
        assert server.ways[0] == "rsa" and set(list(server.ways)[1:]) == {"fast"}


async def test_over_tls_the_password_is_sent_through_it(
    mariadb_server: MariaDB, name: str, certificate: Path
) -> None:
    with standing_in(mariadb_server, name, certificate) as (server, url):
        await works(url(ssl_ca=str(certificate)))
        assert server.ways[0] == "tls" and set(list(server.ways)[1:]) == {"fast"}
        server.forget()
        server.ways.clear()
        # Without a word on TLS in the URL it is left alone.
        await works(url())
        assert server.ways[0] == "rsa"


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("by_tls", [False, True])
@pytest.mark.parametrize(("user", "password"), [(USER, "wrong-s3cret"), ("bob", PASSWORD)])
async def test_a_wrong_password_is_one_clear_line(
    mariadb_server: MariaDB, name: str, certificate: Path,
    cached: bool, by_tls: bool, user: str, password: str,
) -> None:  # fmt: skip
    query = {"ssl_ca": str(certificate)} if by_tls else {}
    with standing_in(mariadb_server, name, certificate if by_tls else None) as (server, url):
        if cached:
            await works(url(**query))
            server.ways.clear()
        line = await refused(url(user, password, **query))
        assert f": Access denied for user '{user}'@'127.0.0.1' (using password: YES);" in line
        assert "wrong-s3cret" not in line
        assert list(server.ways) == [f"{'fast' if cached else 'tls' if by_tls else 'rsa'} refused"]


async def test_a_server_that_the_certificates_do_not_know_is_refused(
    mariadb_server: MariaDB, name: str, certificate: Path, tmp_path: Path
) -> None:
    with standing_in(mariadb_server, name, certificate) as (server, url):
        line = await refused(url(ssl_ca=str(self_signed(tmp_path / "other.pem"))))
        assert "certificate verify failed" in line
        assert not server.ways


def test_the_stand_in_lets_another_driver_in_too(mariadb_server: MariaDB, name: str) -> None:
    """PyMySQL knows MySQL's way by its own means."""
    with standing_in(mariadb_server, name) as (server, _):
        for way in ("rsa", "fast"):
            with (
                pymysql.connect(
                    host="127.0.0.1", port=server.port, user=USER,
                    password=PASSWORD.encode(), database=name,
                ) as connection,
                connection.cursor() as cursor,
            ):  # fmt: skip
                cursor.execute("SELECT DATABASE(), REPEAT('x', 100000)")
                assert cursor.fetchall() == ((name, "x" * 100_000),)
            assert server.ways.pop() == way
