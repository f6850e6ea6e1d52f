"""Section 2 of the contract: each variable, its default, and the line that a wrong value gets."""

import dataclasses
import hashlib
import os
import pickle
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskservice.domain.check import Refused
from taskservice.domain.field_types import queue_name
from taskservice.settings import (
    PREFIX,
    ApiToken,
    Channel,
    Settings,
    SettingsError,
    broker,
    channel_names,
    hash_of,
    is_loopback,
)
from taskservice.settings.broker import is_queue

ALICE = "alice:admin:correct-horse"


def read(**variables: str) -> Settings:
    return Settings.from_environment({f"TASKSERVICE_{k}": v for k, v in variables.items()})


def refusal(**variables: str) -> str:
    with pytest.raises(SettingsError) as refused:
        read(**variables)
    line = str(refused.value)
    assert line.splitlines() == [line]
    return line


def test_the_defaults_are_the_contracts() -> None:
    settings = read()
    assert settings == Settings(
        database_url="sqlite+aiosqlite:///taskservice.db",
        tasks_dir=Path("tasks.d"),
        host="127.0.0.1",
        port=8000,
        functions=("taskservice.examples.*",),
        import_path=(),
        timezone=ZoneInfo("UTC"),
        api_tokens=(),
        prune_grace=86400,
        executor="local",
        threads=2000,
        processes=64,
        shutdown_grace=30,
        log_retention=timedelta(days=90),
        event_retention=timedelta(days=400),
        require_reason=(),
        output_limit=262144,
        env_allow=("*",),
        celery_broker="",
        celery_queue="taskservice",
        start_timeout=300,
        url="",
        channels={},
        webhook_secret="",
        notify="",
        notify_system="",
        heartbeat=None,
        git_url="",
        git_branch="main",
        git_path="",
        git_interval=30,
        git_webhook_secret="",
        git_signers=None,
        oidc_issuer="",
        oidc_client_id="",
        oidc_client_secret="",
        oidc_roles=(),
    )


def test_every_setting_can_be_given(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    signers = tmp_path / "signers"
    signers.write_text("")
    settings = read(
        DATABASE_URL="mysql+asyncmy://u:p%40ss@db.example:3307/tasks",
        TASKS_DIR=str(tmp_path),
        HOST="::1",
        PORT="0",
        FUNCTIONS="taskservice.examples.*, knowledge_api.*",
        IMPORT_PATH=f"{one}{os.pathsep}{two}",
        TIMEZONE="Europe/Berlin",
        API_TOKENS=f"{ALICE}, bob:viewer:a:token:with:colons",
        PRUNE_GRACE="0.5",
        EXECUTOR="celery",
        THREADS="10000",
        PROCESSES="1",
        SHUTDOWN_GRACE="0",
        LOG_RETENTION="",
        EVENT_RETENTION="30d",
        REQUIRE_REASON="pause, delete",
        OUTPUT_LIMIT="1MiB",
        ENV_ALLOW="DB_*, MAIL",
        CELERY_BROKER="amqp://ann:p%40ss@broker.example:5673/team?consumer_timeout=7200",
        CELERY_QUEUE="reports.eu-1",
        START_TIMEOUT="5m",
        URL="https://tasks.example/team/",
        CHANNEL_OPS="https://hooks.example/x?key=1&private=yes&lang=zh",
        CHANNEL_On_Call="mailto://ann:s3cret@mail.example?to=bob@mail.example",
        CHANNEL_OFF="",
        WEBHOOK_SECRET="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        NOTIFY="[{to: ops, after: 3}]",
        NOTIFY_SYSTEM="on_call",
        HEARTBEAT="https://hc.example/ping/7",
        GIT_URL="https://ann:p%40ss@git.example:8443/team/tasks.git",
        GIT_BRANCH="release/1.x",
        GIT_PATH="deploy/tasks.d/",
        GIT_INTERVAL="1.5m",
        GIT_WEBHOOK_SECRET="a long secret",
        GIT_SIGNERS=str(signers),
        OIDC_ISSUER="https://id.example/realms/team/",
        OIDC_CLIENT_ID="taskservice",
        OIDC_CLIENT_SECRET="a secret of its own",
        OIDC_ROLES="ops of the night=operator, all = viewer",
    )
    assert settings == Settings(
        database_url="mysql+asyncmy://u:p%40ss@db.example:3307/tasks",
        tasks_dir=tmp_path,
        host="::1",
        port=0,
        functions=("taskservice.examples.*", "knowledge_api.*"),
        import_path=(one, two),
        timezone=ZoneInfo("Europe/Berlin"),
        api_tokens=(
            ApiToken(
                name="alice", role="admin", token_hash=hashlib.sha256(b"correct-horse").digest()
            ),
            ApiToken(
                name="bob",
                role="viewer",
                token_hash=hashlib.sha256(b"a:token:with:colons").digest(),
            ),
        ),
        prune_grace=0.5,
        executor="celery",
        threads=10000,
        processes=1,
        shutdown_grace=0,
        log_retention=None,
        event_retention=timedelta(days=30),
        require_reason=("pause", "delete"),
        output_limit=1048576,
        env_allow=("DB_*", "MAIL"),
        celery_broker="amqp://ann:p%40ss@broker.example:5673/team?consumer_timeout=7200",
        celery_queue="reports.eu-1",
        start_timeout=300,
        url="https://tasks.example/team",
        channels={
            "ops": Channel(
                name="ops",
                kind="webhook",
                url="https://hooks.example/x?key=1",
                private=True,
                language="zh",
            ),
            "on_call": Channel(
                name="on_call",
                kind="apprise",
                url="mailto://ann:s3cret@mail.example?to=bob@mail.example",
            ),
        },
        webhook_secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        notify="[{to: ops, after: 3}]",
        notify_system="on_call",
        heartbeat=Channel(name="heartbeat", kind="webhook", url="https://hc.example/ping/7"),
        git_url="https://ann:p%40ss@git.example:8443/team/tasks.git",
        git_branch="release/1.x",
        git_path="deploy/tasks.d",
        git_interval=90,
        git_webhook_secret="a long secret",
        git_signers=signers,
        oidc_issuer="https://id.example/realms/team/",
        oidc_client_id="taskservice",
        oidc_client_secret="a secret of its own",
        oidc_roles=(("ops of the night", "operator"), ("all", "viewer")),
    )


def test_other_variables_are_passed_over() -> None:
    assert Settings.from_environment({"TASKSERVICE_SERVER": "http://x", "PORT": "y"}) == Settings()


def test_variables_that_are_none_are_named_with_the_nearest_one() -> None:
    given = {
        "TASKSERVICE_FUNCTION": "x.*",
        "TASKSERVICE_TIME_ZONE": "UTC",
        "TASKSERVICE_PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "TASKSERVICE_PORT": "8000",
        "TASKSERVICE_TOKEN": "x",
        "TASKSERVICE_SERVER": "http://x",
        "TASKSERVICE_ENV_FILE": ".env",
        "TASKSERVICE_CHANNEL_OPS": "mailto://x",
        "PATH": "/bin",
    }
    assert Settings.unknown(given) == {
        "TASKSERVICE_FUNCTION": "TASKSERVICE_FUNCTIONS",
        "TASKSERVICE_PORT_8000_TCP": "",
        "TASKSERVICE_TIME_ZONE": "TASKSERVICE_TIMEZONE",
    }


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90d", timedelta(days=90)),
        ("12h", timedelta(hours=12)),
        ("30m", timedelta(minutes=30)),
        ("45s", timedelta(seconds=45)),
        ("45", timedelta(seconds=45)),
        ("1.5h", timedelta(minutes=90)),
    ],
)
def test_spans(text: str, span: timedelta) -> None:
    assert read(LOG_RETENTION=text).log_retention == span
    assert read(PRUNE_GRACE=text).prune_grace == span.total_seconds()


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("DATABASE_URL", "", "sqlite+aiosqlite:///FILE or mysql+asyncmy://USER"),
        ("DATABASE_URL", "taskservice.db", "sqlite+aiosqlite:///FILE"),
        ("DATABASE_URL", "sqlite:///taskservice.db", "sqlite+aiosqlite:///FILE"),
        ("DATABASE_URL", "postgresql://localhost/tasks", "mysql+asyncmy://USER"),
        ("DATABASE_URL", "sqlite+aiosqlite://", "sqlite+aiosqlite:///FILE"),
        ("DATABASE_URL", "sqlite+aiosqlite:///", "a file on disk"),
        ("DATABASE_URL", "sqlite+aiosqlite:///folder/", "a file on disk"),
        ("DATABASE_URL", "sqlite+aiosqlite:///:memory:", "a file on disk"),
        ("DATABASE_URL", "mysql+asyncmy://db.example", "HOST/DATABASE"),
        ("DATABASE_URL", "mysql+asyncmy:///tasks", "HOST/DATABASE"),
        ("DATABASE_URL", "mysql+asyncmy://db.example:70000/tasks", "HOST/DATABASE"),
        ("TASKS_DIR", "", "a folder that exists"),
        ("TASKS_DIR", "no/such/folder", "a folder that exists"),
        ("HOST", "", "an IP address or a host's name"),
        ("HOST", "not a host", "an IP address or a host's name"),
        ("HOST", "http://localhost", "an IP address or a host's name"),
        ("PORT", "", "0 to 65535"),
        ("PORT", "65536", "0 to 65535"),
        ("PORT", "-1", "0 to 65535"),
        ("PORT", "8000 ", "0 to 65535"),
        ("PORT", "八千", "0 to 65535"),
        ("FUNCTIONS", "a.*,,b.*", "package.module.*"),
        ("FUNCTIONS", "a.*;b.*", "package.module.*"),
        ("OUTPUT_LIMIT", "", "256KiB"),
        ("OUTPUT_LIMIT", "262144", "256KiB"),
        ("OUTPUT_LIMIT", "256kb", "256KiB"),
        ("OUTPUT_LIMIT", "0KiB", "from 1KiB to 4MiB"),
        ("OUTPUT_LIMIT", "5MiB", "from 1KiB to 4MiB"),
        ("OUTPUT_LIMIT", "9" * 400 + "KiB", "from 1KiB to 4MiB"),
        ("ENV_ALLOW", "DB_*,,MAIL", "DB_*"),
        ("ENV_ALLOW", "${DB}", "DB_*"),
        ("IMPORT_PATH", "no/such/folder", "folders that exist"),
        ("IMPORT_PATH", os.pathsep, "folders that exist"),
        ("TIMEZONE", "", "IANA"),
        ("TIMEZONE", "Berlin", "IANA"),
        ("TIMEZONE", "Europe", "IANA"),
        ("TIMEZONE", "/etc/passwd", "IANA"),
        ("PRUNE_GRACE", "", "seconds"),
        ("PRUNE_GRACE", "-1", "seconds"),
        ("PRUNE_GRACE", "nan", "seconds"),
        ("PRUNE_GRACE", "1e400", "seconds"),
        ("PRUNE_GRACE", "9" * 400, "at most 36500d"),
        ("SHUTDOWN_GRACE", "soon", "seconds"),
        ("THREADS", "0", "a number from 1 to 10000"),
        ("PROCESSES", "10001", "a number from 1 to 10000"),
        ("PROCESSES", "many", "a number from 1 to 10000"),
        ("LOG_RETENTION", "90 days", "90d"),
        ("LOG_RETENTION", "36501d", "at most 36500d"),
        ("LOG_RETENTION", "0d", "empty means never"),
        ("EVENT_RETENTION", "0d", "empty means never"),
        ("REQUIRE_REASON", "pause,create", "some of pause, resume, change"),
        ("EXECUTOR", "", "local, process or celery"),
        ("EXECUTOR", "thread", "local, process or celery"),
        ("EXECUTOR", "celery", "that needs a broker, TASKSERVICE_CELERY_BROKER"),
        ("CELERY_BROKER", "broker.example", "redis://[:PASSWORD@]HOST[:PORT]/NUMBER"),
        ("CELERY_BROKER", "redis://broker.example:0/0", "redis://[:PASSWORD@]HOST[:PORT]/NUMBER"),
        ("CELERY_BROKER", "redis://broker.example/first", "redis://[:PASSWORD@]HOST"),
        ("CELERY_BROKER", "sqs://broker.example", "or amqp://USER:PASSWORD@HOST[:PORT]/VHOST"),
        ("CELERY_BROKER", "amqp://broker.example:99999/", "amqp://USER:PASSWORD@HOST"),
        ("CELERY_QUEUE", "", "a queue's name: 1 to 100 letters"),
        ("CELERY_QUEUE", "a b", "a queue's name: 1 to 100 letters"),
        ("CELERY_QUEUE", "a,b", "a queue's name: 1 to 100 letters"),
        ("CELERY_QUEUE", "q" * 101, "a queue's name: 1 to 100 letters"),
        ("CELERY_QUEUE", "amq.gen", "a queue's name: 1 to 100 letters"),
        ("START_TIMEOUT", "", "seconds"),
        ("START_TIMEOUT", "soon", "seconds"),
        ("START_TIMEOUT", "0.5", "a second or more"),
        ("URL", "tasks.example", "https://HOST[:PORT][/PATH]"),
        ("URL", "https://tasks.example/?a=b", "https://HOST[:PORT][/PATH]"),
        ("NOTIFY_SYSTEM", "Ops", "a channel's name"),
        ("NOTIFY_SYSTEM", "ops", "no such channel; it is made by TASKSERVICE_CHANNEL_OPS"),
        ("GIT_URL", "-x", "https, http, ssh, git or file"),
        ("GIT_URL", "--upload-pack=touch", "https, http, ssh, git or file"),
        ("GIT_URL", "https://-x/repository", "https, http, ssh, git or file"),
        ("GIT_URL", "https://git.example", "https, http, ssh, git or file"),
        ("GIT_BRANCH", "", "name of a branch"),
        ("GIT_BRANCH", "-x", "name of a branch"),
        ("GIT_BRANCH", "a..b", "name of a branch"),
        ("GIT_BRANCH", "a b", "name of a branch"),
        ("GIT_BRANCH", "main:other", "name of a branch"),
        ("GIT_BRANCH", "a.lock", "name of a branch"),
        ("GIT_BRANCH", "a/.b", "name of a branch"),
        ("GIT_BRANCH", "a/", "name of a branch"),
        ("GIT_BRANCH", "@", "name of a branch"),
        ("GIT_PATH", "/etc", "from the top of the repository"),
        ("GIT_PATH", "/", "from the top of the repository"),
        ("GIT_PATH", "a/../..", "from the top of the repository"),
        ("GIT_PATH", "a//b", "from the top of the repository"),
        ("GIT_PATH", ".git/hooks", "from the top of the repository"),
        ("GIT_INTERVAL", "0", "longer than nothing"),
        ("GIT_INTERVAL", "often", "seconds"),
    ],
)
def test_a_wrong_value_gets_one_line_with_variable_value_and_what_is_allowed(
    variable: str, value: str, allowed: str
) -> None:
    line = refusal(**{variable: value})
    assert line.startswith(f"TASKSERVICE_{variable} is {value!r}: ")
    assert allowed in line


@given(
    variable=st.sampled_from([field.name.upper() for field in dataclasses.fields(Settings)]),
    value=st.text(st.characters(exclude_characters="\0")),
)
def test_any_text_is_taken_or_refused_in_one_line(variable: str, value: str) -> None:
    try:
        settings = read(**{variable: value})
    except SettingsError as refused:
        assert str(refused).isprintable()
    else:
        assert isinstance(settings, Settings)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mysql+asyncmy://root:s3cret@db", "mysql+asyncmy://***@db"),
        ("mysql+asyncmy://root:s3cret@db/a/b", "mysql+asyncmy://***@db/a/b"),
        ("mysql+asyncmy://root:s3/cret@db/tasks", "mysql+asyncmy:***"),
        ("mysql+asyncmy://root:s3@cret@db/tasks", "mysql+asyncmy:***"),
        ("mysql+asyncmy://root:s3cret/tasks", "mysql+asyncmy:***"),
        ("mysql+asyncmy://root:12?s3cret@db/tasks", "mysql+asyncmy:***"),
        ("mysql+asyncmy://db:0/tasks?password=s3cret", "mysql+asyncmy://db:0/tasks"),
        ("mysql://root:s3cret@db/tasks", "mysql://***@db/tasks"),
        ("mysql:root:s3cret@db/tasks", "mysql:***"),
        ("s3cret@db/tasks", "***"),
        ("sqlite+aiosqlite:///tasks.db?password=s3cret", "sqlite+aiosqlite:///tasks.db"),
    ],
)
def test_a_refused_database_url_shows_no_password(url: str, shown: str) -> None:
    line = refusal(DATABASE_URL=url)
    assert line.startswith(f"TASKSERVICE_DATABASE_URL is {shown!r}: ")
    assert "s3" not in line and "cret" not in line


def test_the_database_url_for_the_log_has_no_password() -> None:
    settings = read(DATABASE_URL="mysql+asyncmy://root:s3cret@db:3306/tasks?charset=utf8mb4")
    assert settings.shown_database_url == "mysql+asyncmy://***@db:3306/tasks"
    assert Settings().shown_database_url == "sqlite+aiosqlite:///taskservice.db"
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://", "redis://"),
        ("amqp://broker/#s3cret", "amqp://broker/"),
        ("redis://:s3cret@broker/first", "redis://***@broker/first"),
        ("amqp://ann:s3/cret@broker/team", "amqp:***"),
        ("amqp://ann:s3cret@broker/team?consumer_timeout=s3cret", "amqp://***@broker/team"),
    ],
)
def test_a_refused_broker_shows_no_password(url: str, shown: str) -> None:
    line = refusal(CELERY_BROKER=url)
    assert line.startswith(f"TASKSERVICE_CELERY_BROKER is {shown!r}: ")
    assert "s3" not in line and "cret" not in line


def test_the_broker_for_the_log_has_no_password() -> None:
    settings = read(CELERY_BROKER="amqp://ann:s3cret@broker:5672/team?consumer_timeout=60")
    assert settings.shown_broker == "amqp://***@broker:5672/team"
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("CHANNEL_OPS", "s3cret", "an Apprise URL, or https://"),
        ("CHANNEL_OPS", "https://s3cret/ x", "an Apprise URL, or https://"),
        ("CHANNEL_OPS", "https://s3cret:99999/", "https://HOST[:PORT]/"),
        ("CHANNEL_OPS", "https:///s3cret", "https://HOST[:PORT]/"),
        ("CHANNEL_OPS", "https://hooks.example/#s3cret", "https://HOST[:PORT]/"),
        ("CHANNEL_OPS", "http://hooks.example/s3cret", "say so with ?private=yes"),
        ("CHANNEL_OPS", "https://s3cret/?private=maybe", "private must be yes or no"),
        ("CHANNEL_OPS", "slack://s3cret/?lang=fr", "lang must be en or zh"),
        ("CHANNEL_", "https://s3cret/", "must end with 1 to 40 letters"),
        ("CHANNEL_A-B", "https://s3cret/", "must end with 1 to 40 letters"),
        ("WEBHOOK_SECRET", "s3cret!", "it must be base64"),
        ("URL", "https://ann:s3cret@tasks.example", "https://HOST"),
    ],
)
def test_a_refused_channel_or_secret_is_not_shown(variable: str, value: str, allowed: str) -> None:
    line = refusal(**{variable: value})
    assert line.startswith(f"TASKSERVICE_{variable} is '***': ")
    assert allowed in line and "s3cret" not in line


def test_channels_are_known_by_name_alone() -> None:
    given = {"CHANNEL_OPS": "slack://s3cret", "CHANNEL_ops": "slack://s3cret"}
    assert "two variables of the channel 'ops'" in refusal(**given)
    assert "s3cret" not in repr(read(CHANNEL_OPS="slack://s3cret"))
    environ = {f"{PREFIX}CHANNEL_OPS": "anything", f"{PREFIX}CHANNEL_OFF": "", "CHANNEL_X": "y"}
    assert channel_names(environ, PREFIX) == {"ops"}


@pytest.mark.parametrize(
    ("url", "longest"),
    [
        ("redis://broker/0", None),
        ("rediss://:secret@broker:6380/1", None),
        ("amqp://broker/", 1800),
        ("amqps://ann:secret@broker/team?consumer_timeout=7200", 7200),
        ("amqp://broker//?consumer_timeout=0", None),
    ],
)
def test_a_broker_says_how_long_a_delivery_may_take(url: str, longest: float | None) -> None:
    assert broker.longest_on(read(CELERY_BROKER=url).celery_broker) == longest
    assert broker.without_parameter(url) == url.partition("?")[0]


@pytest.mark.parametrize(
    ("parameters", "allowed"),
    [
        ("ssl=true", "its parameters may be ssl_ca, ssl_capath, ssl_cert, ssl_key, "),
        ("password=s3cret", "its parameters may be "),
        ("s3cret", "its parameters may be "),
        ("ssl_ca=/no/such/s3cret.pem", "its parameter ssl_ca must be a file that exists"),
        ("ssl_ca=%00", "its parameter ssl_ca must be a file that exists"),
        ("ssl_ca=", "its parameter ssl_ca must be a file that exists"),
        ("ssl_capath=/etc/passwd", "its parameter ssl_capath must be a folder that exists"),
        ("ssl_cipher=", "its parameter ssl_cipher must be a list of ciphers"),
        ("ssl_check_hostname=maybe", "its parameter ssl_check_hostname must be true or false"),
        ("charset=latin1", "its parameter charset must be utf8mb4"),
    ],
)
def test_a_parameter_that_the_driver_would_stumble_over_is_refused(
    parameters: str, allowed: str
) -> None:
    line = refusal(DATABASE_URL=f"mysql+asyncmy://db/tasks?{parameters}")
    assert line.startswith("TASKSERVICE_DATABASE_URL is 'mysql+asyncmy://db/tasks': ")
    assert allowed in line and "s3cret" not in line


def test_parameters_for_tls_and_a_socket_are_taken(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    parameters = (
        f"ssl_ca={tmp_path}/ca.pem&ssl_cert={tmp_path}/ca.pem&ssl_key={tmp_path}/ca.pem&"
        f"ssl_capath={tmp_path}&ssl_check_hostname=false&unix_socket=/run/socket"
    )
    url = f"mysql+asyncmy://db/tasks?{parameters}"
    assert read(DATABASE_URL=url).database_url == url


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        ("s3cret-s3cret", "***"),
        ("alice:s3cret-s3cret", "alice:***"),
        ("alice:boss:s3cret-s3cret", "alice:boss:***"),
        ("alice:s3cret-s3cret:admin", "alice:***:***"),
        ("s3cret-s3cret:boss:alice", "***:boss:***"),
        ("alice:admin:s3cret s3cret", "alice:admin:***"),
        (":admin:s3cret-s3cret", ":admin:***"),
        ("alice smith:admin:s3cret-s3cret", "***:admin:***"),
        ("", "***"),
    ],
)
def test_a_refused_token_is_not_shown(entry: str, shown: str) -> None:
    line = refusal(API_TOKENS=f"bob:viewer:correct-horse,{entry}")
    assert line.startswith(f"TASKSERVICE_API_TOKENS is {shown!r}: it must be name:role:token")
    assert "viewer, operator or admin" in line
    assert "s3cret" not in line and "horse" not in line


@pytest.mark.parametrize("second", ["alice:viewer:battery-staple", "bob:viewer:correct-horse"])
def test_names_and_tokens_stand_once(second: str) -> None:
    line = refusal(API_TOKENS=f"{ALICE},{second}")
    assert "may stand once" in line
    assert "battery" not in line and "horse" not in line


def test_a_token_is_not_kept() -> None:
    settings = read(API_TOKENS=f"{ALICE},bob:viewer:battery-staple")
    alice, bob = settings.api_tokens
    assert alice.token_hash == hash_of("correct-horse")
    assert bob.token_hash == hash_of("battery-staple")
    assert b"correct-horse" not in pickle.dumps(settings)
    assert "correct-horse" not in repr(settings)
    assert repr(alice) == "ApiToken(name='alice', role='admin')"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST"])
def test_without_tokens_loopback_is_taken(host: str) -> None:
    assert read(HOST=host).host == host
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "127.1", "localhost.example.org", "0"]
)
def test_any_other_host_is_none_of_loopback(host: str) -> None:
    """Whether it may be listened on is known where the stored tokens are."""
    assert read(HOST=host).host == host
    assert not is_loopback(host)


def test_a_flag_goes_before_its_variable(tmp_path: Path) -> None:
    environ = {"TASKSERVICE_PORT": "not a port", "TASKSERVICE_HOST": "::1"}
    settings = Settings.from_environment(environ, port=9000, host=None, tasks_dir=tmp_path)
    assert settings == Settings(port=9000, host="::1", tasks_dir=tmp_path)


def test_a_wrong_flag_is_named_with_its_variable() -> None:
    with pytest.raises(SettingsError, match=r"^--port \(TASKSERVICE_PORT\) is '70000': it must"):
        Settings.from_environment({}, port=70000)
    with pytest.raises(TypeError, match="no such setting: ports"):
        Settings.from_environment({}, ports=1)


REPOSITORIES = [
    ("https://git.example/team/tasks.git", "https://git.example/team/tasks.git"),
    ("https://ann:s3cret@git.example/tasks.git", "https://git.example/tasks.git"),
    ("http://s3cret@127.0.0.1:3000/tasks", "http://127.0.0.1:3000/tasks"),
    ("ssh://git@[::1]:2222/srv/tasks.git", "ssh://[::1]:2222/srv/tasks.git"),
    ("git://git.example/tasks.git", "git://git.example/tasks.git"),
    ("git@git.example:team/tasks.git", "git.example:team/tasks.git"),
    ("git.example:/srv/tasks.git", "git.example:/srv/tasks.git"),
    ("file:///srv/my tasks.git", "file:///srv/my tasks.git"),
    ("/srv/my tasks@home.git", "/srv/my tasks@home.git"),
]


@pytest.mark.parametrize(("url", "shown"), REPOSITORIES)
def test_a_repository_is_named_as_git_takes_it_and_shown_without_secrets(
    url: str, shown: str
) -> None:
    settings = read(GIT_URL=url)
    assert (settings.git_url, settings.shown_git_url) == (url, shown)
    assert url not in repr(settings)


@pytest.mark.parametrize("path", ["tasks.git", "../tasks.git", "./ext::tasks.git"])
def test_a_path_to_a_repository_is_made_absolute(path: str) -> None:
    assert read(GIT_URL=path).git_url == os.path.abspath(path)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ann:s3/cret@git.example/tasks", "https:***"),
        ("https://ann:12/s3cret@git.example/tasks", "https:***"),
        ("https://ann:s3@cret@git.example/tasks", "https:***"),
        ("https://ann:s3cret@git.example", "https://***@git.example"),
        ("https://ann:s3cret@git.example/tasks?s3cret", "https://***@git.example/tasks"),
        ("https://ann:s3cret@git.example/tasks\n", "https://***@git.example/tasks\n"),
        (" https://ann:s3cret@git.example/tasks", " https:***"),
        ("ssh://-oProxyCommand=s3cret/tasks", "ssh:***"),
        ("ssh://ann:s3cret@git.example/tasks", "ssh://***@git.example/tasks"),
        ("ftp://ann:s3cret@git.example/tasks", "ftp://***@git.example/tasks"),
        ("ext::sh -c s3cret", "ext:***"),
    ],
)
def test_a_refused_repository_shows_no_password(url: str, shown: str) -> None:
    line = refusal(GIT_URL=url)
    assert line.startswith(f"TASKSERVICE_GIT_URL is {shown!r}: ")
    assert "cret" not in line


def test_with_a_repository_the_folder_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "tasks.d"
    assert read(GIT_URL="/srv/tasks.git", TASKS_DIR=str(folder)).tasks_dir == folder
    assert not folder.exists()
    (tmp_path / "file").touch()
    for wrong in ("", str(tmp_path / "file")):
        line = refusal(GIT_URL="/srv/tasks.git", TASKS_DIR=wrong)
        assert line.startswith(f"TASKSERVICE_TASKS_DIR is {wrong!r}: it must be a folder")


@pytest.mark.parametrize("secret", ["two\nlines", " s3cret", "s3cret\n"])
def test_a_refused_webhook_secret_is_not_shown(secret: str) -> None:
    line = refusal(GIT_WEBHOOK_SECRET=secret)
    assert line == (
        "TASKSERVICE_GIT_WEBHOOK_SECRET is '***': "
        "it must be one line of text, without space around it"
    )
    assert "s3cret" not in repr(read(GIT_WEBHOOK_SECRET="s3cret"))


@pytest.mark.parametrize("text", ["slack://a/b/c", "http://hc.example/s3cret", "hc.example"])
def test_a_heartbeat_is_an_address_of_the_web(text: str) -> None:
    line = refusal(HEARTBEAT=text)
    assert line.startswith("TASKSERVICE_HEARTBEAT is '***': ")
    assert read(HEARTBEAT="").heartbeat is None


OIDC = {
    "URL": "https://tasks.example",
    "OIDC_ISSUER": "https://id.example",
    "OIDC_CLIENT_ID": "taskservice",
    "OIDC_ROLES": "ops=admin",
}


@pytest.mark.parametrize(
    "issuer",
    [
        "id.example",
        "http://id.example",
        "https://",
        "https://u:p@id.example",
        "https://id.example?x",
    ],
)
def test_an_issuer_is_a_url_of_https(issuer: str) -> None:
    assert "it must be https://" in refusal(**{**OIDC, "OIDC_ISSUER": issuer})


def test_an_issuer_needs_the_rest_and_may_be_on_loopback() -> None:
    assert refusal(OIDC_ISSUER="https://id.example") == (
        "TASKSERVICE_OIDC_ISSUER is 'https://id.example': that needs TASKSERVICE_OIDC_CLIENT_ID, "
        "TASKSERVICE_OIDC_ROLES, TASKSERVICE_URL too"
    )
    assert read(**{**OIDC, "OIDC_ISSUER": "http://127.0.0.1:9000"}).oidc_issuer
    assert "s3cret" not in repr(read(**OIDC, OIDC_CLIENT_SECRET="s3cret"))
    assert "s3cret" not in refusal(**OIDC, OIDC_CLIENT_SECRET=" s3cret")


@pytest.mark.parametrize("roles", ["ops", "ops=root", "=admin", "ops=admin,ops=viewer"])
def test_groups_have_roles(roles: str) -> None:
    assert "TASKSERVICE_OIDC_ROLES" in refusal(**{**OIDC, "OIDC_ROLES": roles})


def test_signers_are_a_file_of_a_repository_that_is_followed(tmp_path: Path) -> None:
    url = "https://git.example/tasks.git"
    assert refusal(GIT_URL=url, GIT_SIGNERS=str(tmp_path)) == (
        f"TASKSERVICE_GIT_SIGNERS is {str(tmp_path)!r}: it must be a file of allowed signers, as "
        "ssh-keygen(1) has it"
    )
    assert read(GIT_URL=url, GIT_SIGNERS="").git_signers is None
    file = tmp_path / "signers"
    file.write_text("")
    # Whoever sets it believes to be guarded.
    assert "it is for a repository that is followed" in refusal(GIT_SIGNERS=str(file))


@pytest.mark.parametrize(
    "name", ["a", "A.b-c_9", "9" * 100, "", "a b", "-a", "amq.x", "unacked", "_kombu", "a" * 101]
)
def test_a_queue_is_named_here_as_in_a_task(name: str) -> None:
    try:
        queue_name.parse(name)
    except Refused:
        assert not is_queue(name)
    else:
        assert is_queue(name)
