"""What came from the environment is replaced by `***`, however it stands there."""

import json
import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskservice.engine.executor import returned
from taskservice.engine.masking import NO_MASK, Mask
from taskservice.engine.output import Output


def test_mask() -> None:
    assert Mask({"hunter2"}).text("the password is hunter2!") == "the password is ***!"
    assert Mask({"abcd", "abcdef"}).text("abcdef abcd") == "*** ***"
    assert NO_MASK.text("nothing") == "nothing" and not NO_MASK
    assert Mask({"abc"}).text("abc") == "abc"


@given(st.text(min_size=4))
def test_a_secret_is_masked_where_it_is_quoted(secret: str) -> None:
    secret += "\n\"'é"
    mask = Mask({secret})
    for text in (secret, repr(secret), json.dumps(secret), returned(secret, mask).result or ""):
        assert mask.text(text).strip("\"'") == "***"


@pytest.mark.parametrize(
    "secret", ["it's me", 'say "x"', "both '\"", "back\\slash", "a\nb\tc", "p\udce9ss"]
)
def test_a_secret_is_masked_within_others(secret: str) -> None:
    mask = Mask({secret})
    for text in (
        repr([secret, "'", 'a "b"']),
        repr(f"\"' {secret}"),
        json.dumps({"said": json.dumps([secret])}),
        json.dumps({"seen": repr({"key": secret})}),
        repr(json.dumps(secret)),
        secret.encode("utf-8", "replace").decode(),
        secret.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
    ):
        hidden = mask.text(text)
        assert "***" in hidden, text
        for part in (secret[:3], secret[-3:]):
            assert part not in hidden, text


def test_a_long_secret_is_masked_in_parts() -> None:
    secret = "".join(f"{number:05}\n" for number in range(20_000))
    assert set(Mask({secret}).text(f"[{json.dumps(secret)}]")) == set('["*]')
    output = Output(mask=Mask({secret}))
    for at in range(0, len(secret), 999):
        output.add_text(secret[at : at + 999])
    assert set(output.text(ended=True)) == {"*"}


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[begin:end] for begin, end in pairwise(places)]


@given(
    st.lists(st.sampled_from(["abab", "ababc'", "x", "ab", "\n", "a"]), max_size=12),
    st.lists(st.integers(0, 60), max_size=12),
)
@example(["ab", "ab", "abab", "c"], [1, 2, 3, 4])
def test_a_stream_is_masked_however_it_is_cut(words: list[str], cuts: list[int]) -> None:
    output = Output(mask=Mask({"ababc'", "baba"}))
    for piece in pieces("".join(words).encode(), cuts):
        output.add(piece)
        assert "baba" not in output.text() and "ababc'" not in output.text()
    shown = output.text(ended=True)
    assert "baba" not in shown and "ababc'" not in shown


def test_a_secret_that_comes_in_pieces_is_never_shown_in_part() -> None:
    output = Output(mask=Mask({"s3cr3t-key"}))
    for character in "key: s3cr3t-key.":
        output.add_text(character)
        assert "s" not in output.text()
    assert output.text() == "key: ***."


@pytest.mark.parametrize(
    ("end", "shown"), [("s3c", "s3c"), ("s3cr", "***"), ("s3cr3t-ke", "***"), ("s3cx", "s3cx")]
)
def test_what_may_be_the_begin_of_a_secret_at_the_end(end: str, shown: str) -> None:
    output = Output(mask=Mask({"s3cr3t-key"}))
    output.add_text(f"now {end}")
    assert output.text(ended=True) == f"now {shown}"


def test_a_secret_at_the_place_of_the_cut() -> None:
    for at in range(40):
        output = Output(limit=320, mask=Mask({"s3cr3t-key"}))
        output.add_text("x" * at + "s3cr3t-key" + "y" * 300 + "s3cr3t-key" + "z" * at)
        assert "s3" not in output.text() and "ey" not in output.text()


def test_bytes_of_another_encoding() -> None:
    output = Output(mask=Mask({b"p\xe9ssword".decode("utf-8", "surrogateescape")}))
    output.add(b"one p\xe9ss")
    output.add(b"word two p?ssword.")
    assert output.text() == "one *** two ***."


def test_masking_takes_time_in_proportion() -> None:
    secrets = {"a" * 100_000, "a" * 99_999 + "b", "ab" * 50_000}
    began = time.perf_counter()
    mask = Mask(secrets)
    mask.text("a" * 60_000)
    output = Output(mask=mask)
    for _ in range(100):
        output.add(b"a" * 4000)
        output.add(b"ab" * 2000)
    output.text(ended=True)
    assert time.perf_counter() - began < 10
