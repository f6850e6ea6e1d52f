"""Two folders compared, where no table tells what is."""

from collections.abc import Mapping
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from taskservice.domain.preview import Preview
from taskservice.sync.folder.declaring import declared_by
from taskservice.sync.planning import compare
from tests.sync.folder.test_declaring import ONE, check

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def compared(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> Preview:
    one, other = (declared_by(texts, {}, check) for texts in (old, new))
    return compare(one, other, check=check, zone=UTC, now=NOW)


def test_what_is_new_changed_gone_and_at_fault() -> None:
    old = {f"{name}.yaml": ONE for name in ("same", "moved", "changed", "gone", "broken")}
    new = {
        "same.yaml": b"# with a comment\n" + ONE,
        "below/moved.yaml": ONE,
        "changed.yaml": ONE.replace(b"hours: 1", b"hours: 2"),
        "broken.yaml": b"[",
        "new.yaml": ONE,
    }
    found = compared(old, new)
    assert [entry.task_id for entry in found.create] == ["new"]
    [changed] = found.update
    assert (changed.task_id, changed.week.old, changed.week.new) == ("changed", 168, 84)
    assert [entry.task_id for entry in found.retire] == ["gone"]
    assert [fault.path for fault in found.refuse] == ["broken.yaml"]
    assert found.held is None
    assert found.overrides == {}


def test_the_guard_counts_here_too() -> None:
    old = {f"t{number}.yaml": ONE for number in range(20)}
    new = {f"t{number}.yaml": ONE for number in range(6)}
    held = compared(old, new).held
    assert held is not None
    assert held.reason == "14 of 20 declared tasks would be retired"


@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([1, 2, 3])))
def test_the_same_folder_changes_nothing(hours: dict[str, int]) -> None:
    texts = {f"{name}.yaml": ONE.replace(b"1", b"%d" % n) for name, n in hours.items()}
    assert compared(texts, texts).empty
