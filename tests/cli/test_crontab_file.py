"""What a crontab means, line by line."""

from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from taskservice.cli.crontab_file import FUNCTION, Crontab, read_crontab, slug, split_command
from taskservice.domain.task import parse_task
from taskservice.domain.task_id import id_fault
from taskservice.domain.trigger import parse_trigger
from taskservice.engine.placeholders import fill
from taskservice.sync.text.dump import dump_task
from taskservice.sync.text.reader import read_file
from taskservice.sync.text.task_files import passed_over

NOW = datetime(2026, 3, 20, tzinfo=UTC)


def read(text: str, **options: bool) -> Crontab:
    return read_crontab("tab", text.encode(), **options)


def sound(text: str, **options: bool) -> list[dict[str, Any]]:
    """The fields of the tasks of a crontab without faults."""
    crontab = read(text, **options)
    assert crontab.faults == ()
    return [dict(task.fields) for task in crontab.tasks]


def only(text: str, **options: bool) -> dict[str, Any]:
    (fields,) = sound(text, **options)
    return fields


def faults(text: str, **options: bool) -> list[str]:
    return [str(fault) for fault in read(text, **options).faults]


def notes(text: str, **options: bool) -> list[str]:
    return [str(note) for note in read(text, **options).notes]


def test_a_line_becomes_a_task() -> None:
    crontab = read("# Every weekday\n# at half past two\n30  2 * *\t1-5\t/opt/backup.sh --full\n")
    (task,) = crontab.tasks
    assert (task.task_id, task.line, task.column) == ("backup-full", 3, 1)
    assert task.fields == {
        "name": "/opt/backup.sh --full",
        "task_type": "command",
        "trigger_type": "cron",
        "trigger_args": {"crontab": "30 2 * * 1-5"},
        "func_path": FUNCTION,
        "func_args": {"command": "/opt/backup.sh --full"},
        "description": "Every weekday\nat half past two",
        "executor": "process",
    }


def test_blank_lines_and_comments_are_passed_over() -> None:
    assert sound("\n  \n\t# a comment\n   # 0 0 * * * not run\n") == []
    assert only("  \t0 0 * * * a # b\r\n")["func_args"] == {"command": "a # b"}


def test_a_comment_belongs_to_the_line_right_below_it() -> None:
    assert "description" not in only("# about the file\n\n0 0 * * * a")
    assert "description" not in only("# about FOO\nFOO=1\n0 0 * * * a")
    assert "description" not in only("# about the file\n#\n# m h  dom mon dow   command\n@daily a")
    assert only("# the file\n#\n## the task\n@daily a")["description"] == "the task"
    first, second = sound("# one\n@daily a\n@daily b\n")
    assert ("description" in first, "description" in second) == (True, False)


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("FOO=bar", "FOO", "bar"),
        ("  FOO  =  bar baz  ", "FOO", "bar baz"),
        ('FOO=" bar\'baz "', "FOO", " bar'baz "),
        ("'FOO' = ' bar '", "FOO", " bar "),
        ("FOO=", "FOO", ""),
        ('FOO=""', "FOO", ""),
        ("FOO=a=b # c", "FOO", "a=b # c"),
        ("FOO='open", "FOO", "'open"),
        ("PATH=$HOME/bin:/bin", "PATH", "$HOME/bin:/bin"),
    ],
)
def test_variables_hold_for_the_lines_below(line: str, name: str, value: str) -> None:
    before, after = sound(f"@daily a\n{line}\n@daily b\n")
    assert before["func_args"] == {"command": "a"}
    assert after["func_args"] == {"command": "b", "environment": {name: value}}


def test_a_shell_is_an_argument_of_its_own() -> None:
    assert only("SHELL=/bin/bash\n@daily a")["func_args"] == {"command": "a", "shell": "/bin/bash"}
    assert only("SHELL=/bin/sh\n@daily a")["func_args"] == {"command": "a"}


def test_a_zone_is_that_of_the_trigger() -> None:
    zones = [
        fields["trigger_args"].get("timezone")
        for fields in sound(
            "@daily a\nTZ=Asia/Tokyo\n@daily b\nCRON_TZ=Europe/Berlin\n@daily c\nCRON_TZ=\n@daily d"
        )
    ]
    assert zones == [None, "Asia/Tokyo", "Europe/Berlin", "Asia/Tokyo"]
    assert only("CRON_TZ=UTC\n@daily a")["func_args"] == {"command": "a"}
    assert only("TZ=UTC\n@daily a")["func_args"] == {"command": "a", "environment": {"TZ": "UTC"}}
    (note,) = notes("TZ=UTC\n@daily a\n@daily b\n")
    assert note.startswith("tab:1:1: TZ gives the zone of the times too")
    # It does not beside CRON_TZ, nor where no time is.
    assert notes("TZ=UTC\nCRON_TZ=Asia/Tokyo\n@daily a\n") == []
    assert notes("TZ=UTC\n") == notes("TZ=\n@daily a\n") == []
    assert len(notes("CRON_TZ=Asia/Tokyo\nTZ=UTC\n@daily a\nCRON_TZ=\n@daily b\n")) == 1


def test_mail_is_not_sent_and_that_is_said() -> None:
    text = 'MAILTO=""\n@daily a\n  MAILTO=paul\n'
    assert only(text)["func_args"] == {"command": "a"}
    assert [note.partition(": output")[0] for note in notes(text)] == [
        "tab:1:1: MAILTO is ignored", "tab:3:3: MAILTO is ignored"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "command", "stdin"),
    [
        ("a", "a", None),
        ("a%", "a", None),
        ("a%b", "a", "b\n"),
        ("a %b%%c%", "a", "b\n\nc\n"),
        (r"date +\%F", "date +%F", None),
        (r"date +\%F%100\%", "date +%F", "100%\n"),
        (r"echo a\b", r"echo a\b", None),
        (r"echo a\\b", r"echo a\b", None),
        (r"echo \\%x\\y", "echo \\", "x\\\\y\n"),
        (r"echo \\\%x", r"echo \%x", None),
        (r"cat%a\\%b\c\%", "cat", "a\\%b\\c%\n"),
        ("echo a\\", "echo a\\", None),
        ("a%%", "a", "\n"),
    ],
)
def test_a_percent_sign_is_a_line_break_unless_it_is_escaped(
    text: str, command: str, stdin: str | None
) -> None:
    assert split_command(text) == (command, stdin)
    given = {} if stdin is None else {"stdin": stdin}
    assert only(f"@daily {text}")["func_args"] == {"command": command, **given}


def test_what_the_shell_expands_is_left_to_it() -> None:
    text = "FOO=${A}\nSHELL=${B}\n@daily echo ${HOME} ${X:-y} $Z ${1}%${A:-b}"
    func_args = only(text)["func_args"]
    filled, secrets = fill(func_args, {})
    assert filled == {
        "command": "echo ${HOME} ${X:-y} $Z ${1}",
        "shell": "${B}",
        "stdin": "${A:-b}\n",
        "environment": {"FOO": "${A}"},
    }
    assert not secrets
    assert [note.partition(":")[2][:4] for note in notes(text)] == ["3:8:"]


def test_a_user_column() -> None:
    text = "17 *\t* * *\troot\tcd / && run-parts /etc/cron.hourly\n@daily www-data php x.php\n"
    first, second = sound(text, user_column=True)
    assert first["func_args"] == {"command": "cd / && run-parts /etc/cron.hourly"}
    assert second["func_args"] == {"command": "php x.php"}
    assert notes(text, user_column=True)[1] == (
        "tab:2:8: the user 'www-data' is not kept: commands run as the service's user"
    )
    assert faults("0 0 * * * root", user_column=True) == ["tab:1:15: a command is expected here"]
    assert faults("@daily", user_column=True) == ["tab:1:7: a command is expected here"]


def test_every_fault_is_told_with_its_place() -> None:
    text = (
        b"  @reboot x\n* * * *\n61 25 * * * a\n\xc3\xa9 \xff\nTZ=Mars\n0 0 30 2 * never\n"
        b"0 0 * * * %x\n0 0 * * *\n@dayly x\nnonsense\n=x\n"
    )
    told = [str(fault) for fault in read_crontab("tab", text).faults]
    assert [fault.partition(": ")[0] for fault in told] == [
        "tab:1:3", "tab:2:1", "tab:3:1", "tab:3:1", "tab:4:3", "tab:5:1", "tab:6:1",
        "tab:7:11", "tab:8:10", "tab:9:1", "tab:10:1", "tab:11:1",
    ]  # fmt: skip
    for fault, words in zip(
        told,
        [
            "@reboot is no time", "not five fields", "minute: '61'",
            "hour: '25'", "not UTF-8", "TZ: 'Mars' is no IANA time zone", "never fires",
            "a command is expected", "a command is expected", "'@dayly' is not known",
            "not five fields", "not five fields",
        ],
        strict=True,
    ):  # fmt: skip
        assert words in fault


@pytest.mark.parametrize(
    ("command", "task_id"),
    [
        ("/usr/local/bin/backup.sh --full /srv/data >/dev/null 2>&1", "backup-full-data"),
        ("FOO=1 BAR=2 php /srv/app/cron.php", "php-cron"),
        ("cd / && run-parts --report /etc/cron.daily", "cd-run-parts-report-cron"),
        ("/etc/init.d/", "init"),
        ("备份 数据", "备份-数据"),
        ("_x", "x"),
        (".hidden/.x", "x"),
        ("[ ! -e /x ]", "e-x"),
        ("!!! ...", "command"),
        ("x" * 50, "x" * 36),
        ("word " * 20, "word-word-word-word-word-word-word"),
    ],
)
def test_an_id_is_made_of_the_commands_words(command: str, task_id: str) -> None:
    assert slug(command) == task_id


def test_ids_are_unique() -> None:
    long = "x" * 36
    crontab = read(f"@daily a\n@hourly a\n0 0 * * * a\n@daily {long}\n@daily {long}\n")
    assert [task.task_id for task in crontab.tasks] == [
        "a", "a-2", "a-3", long, f"{'x' * 34}-2"
    ]  # fmt: skip


def test_a_name_is_the_command_shortened() -> None:
    assert only("@daily a \t b\x07c")["name"] == "a bc"
    name = only(f"@daily {'word ' * 50}")["name"]
    assert (len(name), name[-5:]) == (60, "word…")
    assert only("@daily \x07")["name"] == "command"


lines = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.text(
    "ab \t%\\${}=#/'\"-_.;<>&|", min_size=1, max_size=30
)


@given(st.lists(st.tuples(st.sampled_from(["@daily ", "0 7 * * 1 ", "# ", "A=", ""]), lines)))
def test_whatever_the_commands_are_the_files_say_the_same(text: list[tuple[str, str]]) -> None:
    crontab = read("\n".join(start + line for start, line in text))
    assert len({task.task_id for task in crontab.tasks}) == len(crontab.tasks)
    for task in crontab.tasks:
        assert id_fault(task.task_id) is None
        assert not passed_over(f"{task.task_id}.yaml")
        parse_task(task.fields, zone=UTC)
        path = f"{task.task_id}.yaml"
        content = read_file(path, dump_task(task.task_id, task.fields).encode())
        assert content.faults == ()
        assert (content.tasks[0].task_id, content.tasks[0].fields) == (task.task_id, task.fields)


WHENS = [
    "@hourly", "@daily", "@weekly", "@monthly", "@midnight", "*/20 * * * *", "17 * * * *",
    "25 6 * * *", "47 6 * * 7", "52 6 1 * *", "0 22 * * 1-5", "5 4 * * sun", "23 0-23/2 * * *",
    "30 2 * * *", "30 4 1,15 * 5", "0 0 */2 * 1", "15 14 1 Jan-jun *", "0 9-17/2 * * mon,wed,fri",
    "59 23 31 12 *", "10,40 1-3 * * *",
]  # fmt: skip


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("when", WHENS)
def test_it_fires_as_debians_cron(when: str, zone: str) -> None:
    """cronsim imitates Debian's cron; both changes of the clock are within the year."""
    fields = only(f"CRON_TZ={zone}\n{when.replace(' ', '  ')} a")
    trigger = parse_trigger("cron", fields["trigger_args"], zone=UTC, anchor=NOW)
    # cronsim knows no names with @.
    five = {
        "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *", "@midnight": "0 0 * * *",
    }.get(when, when)  # fmt: skip
    start = NOW.astimezone(ZoneInfo(zone))
    end = NOW + timedelta(days=260)
    expected = list(
        dict.fromkeys(
            fire.astimezone(UTC) for fire in takewhile(lambda at: at < end, CronSim(five, start))
        )
    )
    found: list[datetime] = []
    after = NOW
    while (fire := trigger.next_fire(after)) is not None and fire < end:
        found.append(fire)
        after = fire
    assert found == expected
