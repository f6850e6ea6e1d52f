"""Task files in the many styles in which people, editors and generators write YAML."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from taskservice.sync.text.dump import inline
from tests.sync.text.test_dump import NASTY

words = st.sampled_from(
    ["a", "hello", "Guten Tag", "早上 9 点", "😀", "x: y", "a #b", "5", "yes", "null", "it's",
     '"q"', "0 7 * * 1-5", "*/5", "{a}", "a, b", "- x", "", " lead", "trail ", "${NAME:-x}", "a\tb"]
)  # fmt: skip
lines = st.sampled_from(
    ["one\ntwo\n", "one\n\ntwo", " deep\nless\n", "a: 1\n# no comment\n", "x\n"]
)
texts = st.one_of(words, words, lines, st.sampled_from(NASTY))
scalars = st.one_of(texts, st.integers(-99, 99), st.booleans(), st.none(), st.floats(-9, 9))
values = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(words, below, max_size=3),
    max_leaves=5,
)
keys = st.sampled_from(["message", "user id", "n", "größe", "a:b", "10", "x"])
tags = st.lists(st.sampled_from(["a", "b", "nightly", "on", "日报"]), max_size=4)
triggers = st.one_of(
    st.fixed_dictionaries(
        {"trigger_type": st.just("cron"), "trigger_args": st.one_of(
            st.fixed_dictionaries({"crontab": st.sampled_from(["0 7 * * *", "@daily"])}),
            st.fixed_dictionaries(
                {"hour": st.sampled_from(["9", 9, "*/2", "10"])},
                optional={"minute": st.sampled_from(["0", 0, "30"]),
                          "timezone": st.sampled_from(["UTC", "Asia/Shanghai"])},
            ),
        )}
    ),
    st.fixed_dictionaries(
        {"trigger_type": st.just("interval"), "trigger_args": st.dictionaries(
            st.sampled_from(["hours", "minutes", "seconds"]), st.sampled_from([1, 2.5, 30]),
            min_size=1,
        )}
    ),
)  # fmt: skip
retries = st.none() | st.fixed_dictionaries(
    {"max": st.integers(0, 5)},
    optional={"delay": st.sampled_from([0, 10]), "backoff": st.sampled_from([1, 2])},
)
fields = st.builds(
    lambda trigger, rest: {**trigger, **rest},
    triggers,
    st.fixed_dictionaries(
        {"name": words.filter(str.strip), "task_type": st.sampled_from(["t", "report"])},
        optional={
            "func_path": st.sampled_from(["a.b", "a:b"]),
            "func_args": st.none() | st.dictionaries(keys, values, max_size=4),
            "description": st.none() | texts, "tags": tags | st.none(), "retries": retries,
            "paused": st.booleans(), "max_instances": st.integers(1, 9),
            "misfire_grace_time": st.none() | st.integers(1, 99),
            "timeout": st.none() | st.sampled_from([1, 2.5]),
            "executor": st.sampled_from(["local", "process"]),
        },
    ),
)  # fmt: skip


class Writer:
    """Writes values as YAML, each in a style that `draw` chooses."""

    def __init__(self, draw: Any) -> None:
        self._draw = draw

    def _one(self, *choices: Any) -> Any:
        return self._draw(st.sampled_from(choices))

    def flow(self, value: Any, margin: str) -> str:
        """In flow style; over several lines now and then."""
        if not isinstance(value, dict | list) or not value:
            return self._scalar(value, in_flow=True)
        if isinstance(value, dict):
            items = [f"{self._key(key)}: {self.flow(item, margin + '  ')}"
                     for key, item in value.items()]  # fmt: skip
        else:
            items = [self.flow(item, margin + "  ") for item in value]
        begin, end = "{}" if isinstance(value, dict) else "[]"
        comma = self._one("", "", ",")
        if self._one(False, False, True):
            rows = [f"{margin}  {item}," for item in items[:-1]]
            rows += [f"{margin}  {items[-1]}{comma}"]
            return "\n".join([begin, *(row + self._comment() for row in rows), margin + end])
        pad = self._one("", " ")
        return f"{begin}{pad}{', '.join(items)}{comma}{pad}{end}"

    def entries(self, value: Mapping[str, Any], margin: str) -> list[str]:
        """The lines of a mapping in block style."""
        rows: list[str] = []
        for key, item in value.items():
            if self._one(False, False, False, True):
                rows += self._one([""], [f"{margin}# of {len(rows)}"])
            rows += self._entry(f"{margin}{self._key(key)}:", item, margin)
        return rows

    def _entry(self, head: str, item: Any, margin: str) -> list[str]:
        deeper = margin + self._one("  ", "  ", "    ")
        block = self._one(True, True, False)
        if item is None and self._one(True, False):
            return [head + self._comment()]
        if block and isinstance(item, dict) and item:
            return [head + self._comment(), *self.entries(item, deeper)]
        if block and isinstance(item, list) and item:
            at = deeper if head.endswith("-") else self._one(margin, deeper)
            rows = [head + self._comment()]
            for one in item:
                if isinstance(one, dict) and one and self._one(True, False):
                    first, *rest = self.entries(one, at + "  ")
                    if first.strip() and not first.lstrip().startswith("#"):
                        rows += [f"{at}- {first.lstrip(' ')}", *rest]
                        continue
                rows += self._entry(f"{at}-", one, at)
            return rows
        if block and isinstance(item, str) and "\n" in item and item.isascii():
            plain = all(row == "" or row[0] not in " \t" for row in item.split("\n"))
            if plain and item.strip("\n") and item.isprintable() is False and "\r" not in item:
                chomp = "" if item.endswith("\n") and not item.endswith("\n\n") else "-"
                if (chomp == "" or not item.endswith("\n")) and not item.startswith("\n"):
                    content = item.removesuffix("\n").split("\n")
                    if all(row.isprintable() for row in content):
                        body = [f"{deeper}{row}" if row else "" for row in content]
                        return [f"{head} |{chomp}{self._comment()}", *body]
        if isinstance(item, dict | list) and item:
            return [f"{head} {self.flow(item, deeper)}{self._comment()}"]
        space = self._one(" ", " ", "   ")
        return [f"{head}{space}{self._scalar(item, in_flow=False)}{self._comment()}"]

    def _scalar(self, value: Any, *, in_flow: bool) -> str:
        style = self._one(None, "'", '"')
        return inline(value, in_flow=in_flow, style=style, quote=self._one("'", '"'))

    def _key(self, key: str) -> str:
        return inline(key, in_flow=True, style=self._one(None, None, '"', "'"))

    def _comment(self) -> str:
        return str(self._one("", "", "", "  # said", " #"))


@st.composite
def files(draw: Any) -> tuple[str, list[str]]:
    """The text of a file, and the ids of its tasks; its name is `x.yaml`."""
    writer = Writer(draw)
    count = draw(st.integers(0, 3))
    ids = ["x"] if count == 0 else ["x", "y", "ö"][:count]
    tasks = {task_id: draw(fields) for task_id in ids}
    rows: list[str] = draw(st.sampled_from([[], ["# head", ""], ["---"]]))
    if count == 0:
        flow = draw(st.integers(0, 4)) == 0
        rows += [writer.flow(tasks["x"], "")] if flow else writer.entries(tasks["x"], "")
    else:
        top: dict[str, Any] = {"tasks": tasks}
        if draw(st.booleans()):
            top = {"defaults": draw(fields), **top}
            for task_id in ids:  # a task may take all of them
                tasks[task_id] = draw(st.sampled_from([tasks[task_id], tasks[task_id], {}]))
        rows += writer.entries(top, "")
    rows += draw(st.sampled_from([[], [""], ["# end"], ["", "# end"]]))
    text = "\n".join(rows) + draw(st.sampled_from(["\n", "\n", ""]))
    text = text.replace("\n", draw(st.sampled_from(["\n", "\n", "\r\n"])))
    return draw(st.sampled_from(["", "", "\ufeff"])) + text, ids
