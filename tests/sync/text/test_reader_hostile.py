"""No bytes take the reader down, hold it up, or get anything but plain values out of it."""

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskservice.sync.text.reader import FileContent, read_file

MEBIBYTE = 1024 * 1024
SAMPLE = """\
# reports, 报告
defaults: &d
  task_type: report   # shared
  trigger_args: {crontab: "0 7 * * *", timezone: 'Asia/Shanghai'}
tasks:
  daily: {name: "D\\u00e4ily", tags: [a, 'b c'], <<: *d}
  weekly:
    name: >-
      Weekly
      report
    func_args:
      ? on
      : !!str 5
      nested: [{a: [1, 2.5, ~, yes]}, 2026-11-24, "x"]
  monthly: {name: 月报, timeout: 1e3, paused: off}
"""
SOUND = SAMPLE.replace(" &d", "").replace(", <<: *d", "").replace("? on", '? "on"')


def check(data: bytes) -> FileContent:
    """Read the bytes, and hold the answer against everything that is promised of any."""
    content = read_file("dir/one.yaml", data)
    lines = data.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for fault in content.faults:
        assert fault.reason
        assert fault.path == "dir/one.yaml"
        assert fault.line is not None
        assert fault.column is not None
        assert 1 <= fault.line <= len(lines) + 1
        assert fault.column >= 1
    taken = {task.task_id for task in content.tasks}
    assert len(taken) == len(content.tasks)
    assert not taken & content.faulty
    assert content.readable or (not taken and not content.faulty)
    assert content.faults or taken
    assert bool(content.faulty) <= bool(content.faults)
    for task in content.tasks:
        check_value(task.fields)
        assert json.loads(json.dumps(task.fields, allow_nan=False)) == task.fields
        for name in task.fields:
            line, column = task.place(name)
            assert column <= len(lines[line - 1]) + 1
    return content


def check_value(value: object) -> None:
    """Plain JSON-able values of exactly the types that JSON has."""
    if type(value) is dict:
        assert all(type(key) is str for key in value)
        for item in value.values():
            check_value(item)
    elif type(value) is list:
        for item in value:
            check_value(item)
    else:
        assert value is None or type(value) in (str, int, float, bool)


def test_the_sound_sample_is_sound() -> None:
    content = check(SOUND.encode())
    assert content.faults == ()
    assert [task.task_id for task in content.tasks] == ["daily", "weekly", "monthly"]


@pytest.mark.parametrize("text", [SAMPLE, SOUND, SOUND.replace("\n", "\r\n")])
def test_every_prefix_of_a_file(text: str) -> None:
    data = text.encode()
    for end in range(len(data)):
        check(data[:end])


@given(st.binary(max_size=300))
@example(b"\xff\xfe\x00\x00")
@example(b"\xef\xbb\xbf\xef\xbb\xbf")
@example(b"%")
@example(b"--- - &")
def test_any_bytes(data: bytes) -> None:
    check(data)


@given(st.text(alphabet="ab:-[]{},#&*!|>'\"%@`? \n\t\r.1~<=\\é\u2028\ufeff", max_size=60))
def test_any_text_of_the_characters_that_yaml_minds(text: str) -> None:
    check(text.encode())


@given(
    st.integers(0, len(SAMPLE)),
    st.integers(0, 12),
    st.text(alphabet="a:-[]{}#&*!|'\"? \n\t\\1~", max_size=6),
)
def test_any_change_to_a_file(start: int, length: int, inserted: str) -> None:
    check((SAMPLE[:start] + inserted + SAMPLE[start + length :]).encode())
    check((SOUND[:start] + inserted + SOUND[start + length :]).encode())


KEYS = st.text(alphabet="abcdefgh_é早", min_size=1, max_size=6).map(lambda text: f"k{text}")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=12)
)
VALUES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4))
def test_every_value_of_json_comes_back_with_each_key_at_its_place(
    fields: dict[str, object],
) -> None:
    """Written a key a line, so that the places can be found without a parser."""
    lines = ["{"]
    expected: dict[str, tuple[int, int]] = {}
    write(fields, "", 1, lines, expected)
    lines.append("}")
    content = check("\n".join(lines).encode())
    assert content.faults == ()
    (task,) = content.tasks
    assert task.fields == fields
    for name, place in expected.items():
        assert task.place(name) == place
        assert task.place(f"{name}.nothing") == place


def write(
    fields: dict[str, object],
    prefix: str,
    indent: int,
    lines: list[str],
    places: dict[str, tuple[int, int]],
) -> None:
    for key, value in fields.items():
        places[prefix + key] = (len(lines) + 1, indent + 1)
        begin = " " * indent + json.dumps(key, ensure_ascii=False) + ": "
        if isinstance(value, dict) and value:
            lines.append(begin + "{")
            write(value, f"{prefix}{key}.", indent + 1, lines, places)
            lines.append(" " * indent + "},")
        else:
            lines.append(begin + escaped(value) + ",")


def escaped(value: object) -> str:
    """JSON that is YAML: no character is written as a pair of escapes."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * MEBIBYTE,
        "a: " + "{" * MEBIBYTE,
        "a: " + "[" * (MEBIBYTE // 2) + "]" * (MEBIBYTE // 2),
        "a: " + "{a: [" * (MEBIBYTE // 5),
        "? " * (MEBIBYTE // 2),
        "- " * (MEBIBYTE // 2),
        "\n".join(" " * depth + "a:" for depth in range(1400)),
        "a: [" + "*x," * (MEBIBYTE // 3),
        "a: [" + "&x 1," * (MEBIBYTE // 5),
        "{" + "a: 1," * (MEBIBYTE // 5),
        "tasks: {" + "1: {}," * (MEBIBYTE // 6),
        "---\n" * (MEBIBYTE // 4),
        "".join(f"%TAG !a{number}! tag:x\n" for number in range(40000)) + "---\na: 1",
        "#\n" * (MEBIBYTE // 2),
        '"' + "\n" * MEBIBYTE,
        ":" * MEBIBYTE,
        "a: " + "9" * MEBIBYTE,
        "a: 0." + "0" * (MEBIBYTE - 20) + "1",
        "a: [" + "1," * (MEBIBYTE // 2 - 4) + "]",
        "a: &a [x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]",
    ],
    ids=range(20),
)
def test_no_mebibyte_holds_the_reader_up(text: str) -> None:
    data = text.encode()[:MEBIBYTE]
    began = time.process_time()
    content = read_file("one.yaml", data)
    assert time.process_time() - began < 10
    assert content.faults or content.tasks
