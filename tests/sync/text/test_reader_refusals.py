"""What a task file is refused for: where, why, and which of its tasks stay sound."""

from collections.abc import Iterator

import pytest
import yaml

from taskservice.sync.text.reader import FileContent, read_file
from taskservice.sync.text.yaml_walk import LOADER, Loader

Told = tuple[int | None, int | None, str | None, str | None]


either = pytest.mark.parametrize("loader", [yaml.CSafeLoader, yaml.SafeLoader])
"""The test runs with libyaml and with the fallback in Python."""


def read(text: str | bytes, loader: Loader = LOADER) -> FileContent:
    data = text if isinstance(text, bytes) else text.encode()
    return read_file("one.yaml", data, loader=loader)


def told(content: FileContent) -> list[Told]:
    """Line, column, task and field of each fault."""
    assert all(fault.path == "one.yaml" for fault in content.faults)
    return [(fault.line, fault.column, fault.task_id, fault.field) for fault in content.faults]


def ids(content: FileContent) -> list[str]:
    return [task.task_id for task in content.tasks]


ONE = [
    ("a: 1\nb: 2\na: 3", (3, 1), "a", "the key 'a' stands here twice, first in line"),
    ("a: {b: 1,\n  b: 2}", (2, 3), "a.b", "the key 'b' stands here twice, first in line"),
    ("a: [{b: 1, b: 2}]", (1, 12), "a.0.b", "stands here twice"),
    ("a: *x", (1, 4), "a", "aliases (*name) are not taken"),
    ("a: [1, *x]", (1, 8), "a.1", "aliases"),
    ("*x : 1\nb: 1", (1, 1), None, "aliases"),
    ("a: &x 1", (1, 4), "a", "anchors (&name) are not taken"),
    ("a: &x {b: 1}", (1, 4), "a", "anchors"),
    ("a: &x\n  b: 1", (1, 4), "a", "anchors"),
    ("a: &x [1]", (1, 4), "a", "anchors"),
    ("&x a: 1", (1, 1), "a", "anchors"),
    ("--- &x\na: 1", (1, 5), None, "anchors"),
    ("a:\n  <<: {b: 1}", (2, 3), "a", "merge keys (<<) are not taken"),
    ("<<: *x\nb: 1", (1, 1), None, "merge keys"),
    ("a: !foo 1", (1, 4), "a", "the tag '!foo' is not taken"),
    ("a: ! 1", (1, 4), "a", "the tag '!' is not taken"),
    ("a: !foo {b: 1}", (1, 4), "a", "the tag '!foo' is not taken"),
    ("a: !foo [b]", (1, 4), "a", "the tag '!foo' is not taken"),
    ("!foo a: 1", (1, 1), "a", "the tag '!foo' is not taken"),
    ("a: !!python/name:os.system x", (1, 4), "a", "the tag '!!python/name:os.system'"),
    ("a: !!int '5'", (1, 4), "a", "the tag '!!int' is not taken"),
    ("a: !!str [1]", (1, 4), "a", "the tag '!!str' is not taken"),
    ("a: !<tag:x.org,2026:y> 1", (1, 4), "a", "the tag 'tag:x.org,2026:y' is not taken"),
    ("a: {on: 1}", (1, 5), "a.on", "the key 'on' is a boolean in YAML: put it in quotes"),
    ("5: 1", (1, 1), "5", "the key '5' is a number in YAML"),
    ("1.5: 1", (1, 1), "1.5", "the key '1.5' is a number in YAML"),
    (".inf: 1", (1, 1), ".inf", "the key '.inf' is a number in YAML"),
    ("~: 1", (1, 1), "~", "the key '~' is null in YAML"),
    ("[a]: 1", (1, 1), None, "a key is text, no list or mapping"),
    ("a: {? {b: c} : 1}", (1, 7), "a", "a key is text, no list or mapping"),
    ("a: .inf", (1, 4), "a", "'.inf' is not a finite number"),
    ("a: [1, -.nan, .NaN]", (1, 15), "a.2", "'.NaN' is not a finite number"),
    ("a: 1e999", (1, 4), "a", "'1e999' is not a finite number"),
    ("a: 9223372036854775808", (1, 4), "a", "needs more than 64 bits"),
]


@either
@pytest.mark.parametrize(("text", "place", "field", "reason"), ONE)
def test_a_fault_in_a_file_of_one_task(
    text: str, place: tuple[int, int], field: str | None, reason: str, loader: Loader
) -> None:
    content = read(text, loader)
    assert told(content) == [(*place, "one", field)]
    assert reason in content.faults[0].reason
    assert (content.tasks, content.readable, content.faulty) == ((), True, frozenset({"one"}))


def test_a_key_that_stands_twice_names_the_line_of_the_first() -> None:
    content = read("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 4\na: 5\n")
    assert told(content) == [(5, 3, "one", "b.c"), (6, 1, "one", "a"), (7, 1, "one", "a")]
    assert [fault.reason[-15:] for fault in content.faults] == [
        "first in line 3",
        "first in line 1",
        "first in line 1",
    ]


INSIDE = [case for case in ONE if not case[0].startswith(("--- ", "<<"))]


@either
@pytest.mark.parametrize(("text", "place", "field", "reason"), INSIDE)
def test_the_same_fault_inside_one_of_several_leaves_the_others_sound(
    text: str, place: tuple[int, int], field: str | None, reason: str, loader: Loader
) -> None:
    indented = "\n".join(f"    {line}" for line in text.split("\n"))
    content = read(f"tasks:\n  before: {{x: 1}}\n  bad:\n{indented}\n  after: {{x: 2}}\n", loader)
    assert told(content) == [(place[0] + 3, place[1] + 4, "bad", field)]
    assert reason in content.faults[0].reason
    assert ids(content) == ["before", "after"]
    assert (content.readable, content.faulty) == (True, frozenset({"bad"}))


@either
@pytest.mark.parametrize(("text", "place", "field", "reason"), INSIDE)
def test_the_same_fault_in_defaults_makes_every_task_faulty(
    text: str, place: tuple[int, int], field: str | None, reason: str, loader: Loader
) -> None:
    indented = "\n".join(f"    {line}" for line in text.split("\n"))
    content = read(f"defaults:\n{indented}\ntasks: {{a: {{x: 1}}, b: {{x: 2}}}}\n", loader)
    below = f"defaults.{field}" if field else "defaults"
    assert told(content) == [(place[0] + 1, place[1] + 4, None, below)]
    assert reason in content.faults[0].reason
    assert (content.tasks, content.readable, content.faulty) == ((), True, frozenset({"a", "b"}))


@either
def test_every_fault_of_a_file_is_told_at_once_in_the_order_of_the_text(loader: Loader) -> None:
    content = read(
        "default: {x: 1}\n"
        "tasks:\n"
        "  a: {x: *y, on: 1}\n"
        "  b c: {x: &z 1}\n"
        "  d: 5\n"
        "  e: {x: 1}\n"
        "defaults: [1]\n",
        loader,
    )
    assert told(content) == [
        (1, 1, None, "default"),
        (3, 10, "a", "x"),
        (3, 14, "a", "on"),
        (4, 3, "b c", None),
        (4, 12, "b c", "x"),
        (5, 3, "d", None),
        (7, 1, None, "defaults"),
    ]
    assert content.faulty == {"a", "b c", "d", "e"}


NOT_READABLE = [
    ("", (1, 1), None, "declares nothing: to end its tasks, delete the file"),
    ("# only\n# comments\n", (1, 1), None, "declares nothing"),
    ("---\n", None, None, "declares nothing"),
    ("{}", (1, 1), None, "declares nothing"),
    ("null", (1, 1), None, "declares nothing"),
    ("tasks: {}", (1, 1), "tasks", "declares nothing"),
    ("defaults: {x: 1}\ntasks: {}", (2, 1), "tasks", "declares nothing"),
    ("tasks:", (1, 1), "tasks", "must be a mapping of ids to tasks, not null"),
    ("tasks: [a]", (1, 1), "tasks", "must be a mapping of ids to tasks, not a list"),
    ("tasks: *x", (1, 8), "tasks", "aliases"),
    ("tasks: &x {a: {}}", (1, 8), "tasks", "anchors"),
    ("tasks: !t {a: {}}", (1, 8), "tasks", "the tag '!t' is not taken"),
    ("tasks: {[a]: {x: 1}, b: {x: 1}}", (1, 9), "tasks", "a key is text"),
    ("tasks: {<<: {x: {}}, b: {x: 1}}", (1, 9), "tasks", "merge keys"),
    ("tasks: {a: {x: 1}}\ntasks: {b: {x: 1}}", (2, 1), "tasks", "twice, first in line 1"),
    ("defaults: {x: 1}", (1, 1), None, "'defaults' without 'tasks'"),
    ("- a", (1, 1), None, "a task file is a mapping of fields, not a list"),
    ("a", (1, 1), None, "a task file is a mapping of fields, not text"),
    ("5", (1, 1), None, "a task file is a mapping of fields, not a number"),
    ("a: 1\n---\nb: 1", (2, 1), None, "a second document begins"),
    ("a: 1\n---\n", (2, 1), None, "a second document begins"),
    (b"a: 1\nb\xc3\xa9: \xff", (2, 5), None, "the byte 0xFF is not UTF-8"),
    (b"\xef\xbb\xbfa: \x80", (1, 4), None, "the byte 0x80 is not UTF-8"),
    (b"a: \xed\xa0\x80", (1, 4), None, "the byte 0xED is not UTF-8"),
    (b"a: b\xc3", (1, 5), None, "the byte 0xC3 is not UTF-8"),
    ("a: 1".encode("utf-16"), (1, 1), None, "the file is in UTF-16; save it in UTF-8"),
    ("a: 1".encode("utf-16-be"), (1, 1), None, "U+0000"),
    ("a: 1\r\nb: x\x00", (2, 5), None, "the character U+0000 is not taken"),
    ("a: 1\rb: \x07", (2, 4), None, "the character U+0007 is not taken"),
    ("a: '\x7f'", (1, 5), None, "U+007F"),
    ("a: '\u2028'", (1, 5), None, "U+2028"),
    ("a: '\x85'", (1, 5), None, "U+0085"),
    ("a: \ufeff", (1, 4), None, "U+FEFF"),
    ("a: \uffff", (1, 4), None, "U+FFFF"),
    ("# x\n\n%YAML 1.1\n%TAG !x! tag:y\n---\na: 1", (4, 1), None, "%TAG is not taken"),
]


@either
@pytest.mark.parametrize(("text", "place", "field", "reason"), NOT_READABLE)
def test_a_file_of_which_nothing_can_be_said(
    text: str | bytes, place: tuple[int, int] | None, field: str | None, reason: str, loader: Loader
) -> None:
    content = read(text, loader)
    (fault,) = content.faults
    assert reason in fault.reason
    assert (fault.path, fault.task_id, fault.field) == ("one.yaml", None, field)
    assert place is None or (fault.line, fault.column) == place
    assert (content.tasks, content.readable, content.faulty) == ((), False, frozenset())


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("a: b: c", (1, 5), "a ':' stands where no key can be"),
        ("a: 1\n b: 2", (2, 3), "a ':' stands where no key can be"),
        ("a: 1\nb\n", (2, 1), "a key without a ':' after it"),
        ("a:\n  - b\n c: 1", (3, 2), "a key was expected here"),
        ("a:\n\t- b", (2, 1), "indent with spaces, not with tabs"),
        ("a: @x", (1, 4), "put the text in quotes"),
        ("hour: *\n", (1, 8), "a text that begins with '*' or '&' goes in quotes"),
        ("minute: */5", (1, 10), "a text that begins with '*' or '&' goes in quotes"),
        ("a: [1\nb: 2", (2, 2), "a ',' or ']' is missing (in what begins in line 1)"),
        ("a: {b: 1]", (1, 9), "a ',' or '}' is missing"),
        ("a: ]", (1, 4), "a value was expected here"),
        ("a: 'x\nb: 1\n", (3, 1), "the file ends inside quotes (in what begins in line 1)"),
        ("a: - b", (1, 4), "a list's '- ' stands where no list can be"),
        ("a: ? b", (1, 4), "a '? ' stands where no key can be"),
        ("- a\nb: 1", (2, 1), "a '-' was expected here"),
        ('a: "\\ud83d\\ude00"', (1, 7), "this escape stands for no character"),
        ('a: "\\q"', (1, 5), "found unknown escape character"),
        ("a: !e!x 1", (1, 4), "tags are not taken"),
        ("%YAML 3.0\n---\na: 1", (1, 1), "found incompatible YAML document"),
    ],
)
def test_a_syntax_error_is_told_in_plain_words(
    text: str, place: tuple[int, int], reason: str
) -> None:
    content = read(text)
    (fault,) = content.faults
    assert (fault.line, fault.column) == place
    assert fault.reason.startswith("not valid YAML: ")
    assert reason in fault.reason
    assert not content.readable


def test_faults_before_a_syntax_error_are_told_too() -> None:
    content = read("tasks:\n  a: {x: &y 1}\n  b: ]\n")
    assert told(content) == [(2, 10, "a", "x"), (3, 6, None, None)]
    assert (content.tasks, content.readable, content.faulty) == ((), False, frozenset())


def test_half_a_character_is_refused_by_the_fallback_too() -> None:
    content = read('a: "\\ud800"\n"\\udc00": 1\nb: "é\\u00e9"', yaml.SafeLoader)
    assert told(content) == [(1, 4, "one", "a"), (2, 1, "one", None)]
    assert "surrogate" in content.faults[0].reason


@either
def test_an_id_that_stands_twice_stays_with_the_first(loader: Loader) -> None:
    content = read("tasks:\n  a: {x: 1}\n  b: {x: 2}\n  a: {x: *y}\n", loader)
    assert told(content) == [(4, 3, "a", None)]
    assert content.faults[0].reason == "the key 'a' stands here twice, first in line 2"
    assert [task.fields for task in content.tasks] == [{"x": 1}, {"x": 2}]
    assert content.faulty == frozenset()


@either
@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("bad: 5", "a task is a mapping of fields, not a number"),
        ("bad:", "a task is a mapping of fields, not null"),
        ("bad: [x]", "a task is a mapping of fields, not a list"),
        ("bad: *x", "aliases"),
        ("&x bad: {x: 1}", "anchors"),
        ("5: {x: 1}", "the key '5' is a number in YAML"),
        ("yes: {x: 1}", "the key 'yes' is a boolean in YAML"),
        ("'': {x: 1}", "an id can't be empty"),
        ("a/b: {x: 1}", "an id has no '/'"),
        ("a b: {x: 1}", "an id has no whitespace"),
    ],
)
def test_a_task_that_is_no_task_is_its_own_fault(task: str, reason: str, loader: Loader) -> None:
    content = read(f"tasks:\n  before: {{x: 1}}\n  {task}\n  after: {{x: 2}}\n", loader)
    (fault,) = content.faults
    assert reason in fault.reason
    assert fault.line == 3
    assert content.faulty == {fault.task_id}
    assert ids(content) == ["before", "after"]


@either
@pytest.mark.parametrize(
    ("top", "place", "field", "reason"),
    [
        ("default: {x: 1}", (2, 1), "default", "beside 'tasks'; did you mean 'defaults'?"),
        ("name: x", (2, 1), "name", "only 'defaults' stands beside 'tasks'"),
        ("defaults:", (2, 1), "defaults", "must be a mapping, not null"),
        ("defaults: x", (2, 1), "defaults", "must be a mapping, not text"),
        ("defaults: *x", (2, 11), "defaults", "aliases"),
        ("<<: {defaults: {}}", (2, 1), None, "merge keys"),
        ("on: 1", (2, 1), "on", "is a boolean in YAML"),
        ("defaults: {}\ndefaults: {x: 1}", (3, 1), "defaults", "twice, first in line 2"),
    ],
)
def test_what_stands_wrongly_beside_the_tasks_makes_them_all_faulty(
    top: str, place: tuple[int, int], field: str | None, reason: str, loader: Loader
) -> None:
    content = read(f"tasks: {{a: {{x: 1}}, b: {{x: 2}}}}\n{top}\n", loader)
    assert told(content) == [(*place, None, field)]
    assert reason in content.faults[0].reason
    assert (content.tasks, content.readable, content.faulty) == ((), True, frozenset({"a", "b"}))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("my task.yaml", "the file's name gives the id 'my task': an id has no whitespace"),
        (f"{'x' * 37}.yml", "an id has at most 36 characters"),
        ("d/50%.yaml", "an id has no '%'"),
    ],
)
def test_a_file_whose_name_is_no_id(path: str, reason: str) -> None:
    content = read_file(path, b"# x\nname: x")
    (fault,) = content.faults
    assert reason in fault.reason
    assert (fault.line, fault.column, fault.field) == (2, 1, None)
    assert content.tasks == ()
    assert content.faulty == {fault.task_id}


def test_a_file_of_one_without_a_single_sound_key_is_placed_at_its_beginning() -> None:
    content = read("\n\n{on: 1}")
    assert told(content) == [(3, 2, "one", "on")]


def test_defaults_that_would_grow_without_limit_are_refused() -> None:
    tasks = "".join(f"  t{number}: {{}}\n" for number in range(2000))
    large, small = "x" * 9000, "x" * 8000
    content = read(f"defaults: {{name: {large}}}\ntasks:\n{tasks}")
    assert told(content) == [(1, 1, None, "defaults")]
    assert "too large for 2000 tasks" in content.faults[0].reason
    assert (len(content.tasks), len(content.faulty)) == (0, 2000)
    assert len(read(f"defaults: {{name: {small}}}\ntasks:\n{tasks}").tasks) == 2000


def test_of_many_faults_a_hundred_are_told_and_the_rest_counted() -> None:
    tasks = "".join(f"  t{number}: {{x: *y}}\n" for number in range(150))
    content = read(f"tasks:\n{tasks}  sound: {{x: 1}}\n")
    assert len(content.faults) == 101
    assert content.faults[99].task_id == "t99"
    assert content.faults[100].reason == "and 50 more faults in this file"
    assert (content.faults[100].line, content.faults[100].task_id) == (101, None)
    assert ids(content) == ["sound"]
    assert len(content.faulty) == 150


def test_faults_past_counting_end_the_reading() -> None:
    content = read("a: [" + "*x," * 20000 + "]")
    assert not content.readable
    assert content.faults[100].reason == "and 9,901 more faults in this file"


def test_a_parser_that_fails_in_an_unforeseen_way_is_a_fault() -> None:
    def broken(text: str) -> Iterator[None]:
        raise AttributeError("no such thing")

    content = read("a: 1", broken)
    assert content.faults[0].reason == "not valid YAML: no such thing"
    assert told(content) == [(1, 1, None, None)]
    assert not content.readable


def test_a_parser_error_without_a_place_is_at_the_beginning() -> None:
    def broken(text: str) -> Iterator[None]:
        raise yaml.error.MarkedYAMLError(context="somewhere")

    content = read("a: 1", broken)
    assert content.faults[0].reason == "not valid YAML: somewhere"
    assert told(content) == [(1, 1, None, None)]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name: [", (1, 8)),
        ("name: [\n", (2, 1)),
        ("a: {", (1, 5)),
        ("tasks:\n  a: {b: [1,", (2, 13)),
        ("a: {\r\n\r\n  ", (3, 3)),
    ],
)
def test_a_fault_at_the_end_is_in_a_line_that_there_is(text: str, place: tuple[int, int]) -> None:
    (fault,) = read(text).faults
    assert (fault.line, fault.column) == place
