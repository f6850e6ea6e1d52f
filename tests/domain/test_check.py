"""What checks of single values share."""

from taskservice.domain.check import printable


def test_what_is_not_to_be_seen_is_a_question_mark() -> None:
    assert printable("Ann \x1b[2J\u202eé早\n") == "Ann ?[2J?é早?"
