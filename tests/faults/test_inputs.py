"""The files of `tasks.d` cut off at every byte, and bent in thousands of ways."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskservice.domain.overlay import Declaration
from taskservice.domain.plan import StoredDeclaration, make_plan
from taskservice.sync.folder.reading import Folder
from tests.sync.text.test_reader_hostile import check

SAMPLES = sorted((Path(__file__).parents[2] / "tasks.d").glob("*.yaml"))
EXAMPLES = 10_000 if os.environ.get("FAULTS_LENGTH") == "long" else 500
TEXTS = [path.read_bytes() for path in SAMPLES]


def later() -> float:
    """A clock by which every file has been left alone for long."""
    return time.time() + 60


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_every_prefix_of_a_sample(sample: Path, tmp_path: Path) -> None:
    """Whatever part of a file is there: no task goes, and no other file's task is touched."""
    whole = sample.read_bytes()
    path = tmp_path / sample.name
    path.write_bytes(whole)
    (tmp_path / "other.yaml").write_bytes(SAMPLES[0].read_bytes())
    folder = Folder(tmp_path, lambda task_id, fields: None)
    known = folder.scan({}, clock=later).declared
    assert not known.faults
    stored = {
        task_id: _stored(candidate.declaration, candidate.digest)
        for task_id, candidate in known.tasks.items()
    }
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        check(whole[:end])
        scan = folder.scan(stored, by_content=True, clock=later)
        plan = make_plan(scan.declared, stored, missing={}, now=datetime.now(UTC))
        assert plan.retire == plan.forget == ()
        assert "other" not in plan.write
        assert scan.declared.faults or set(scan.declared.tasks) <= set(stored)


def _stored(declaration: Declaration, digest: str) -> StoredDeclaration:
    return StoredDeclaration(
        source="file", digest=digest, path=declaration.path, line=declaration.line
    )


@settings(max_examples=EXAMPLES)
@given(st.data())
def test_a_sample_that_is_bent(data: st.DataObject) -> None:
    """Bytes replaced, inserted, taken out or doubled, at several places at once."""
    text = data.draw(st.sampled_from(TEXTS))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 20))
        piece = data.draw(st.binary(max_size=6) | st.sampled_from([b"\n", b"\t", b": ", b"- &x "]))
        text = text[:start] + piece + text[start + length :]
    check(text)
