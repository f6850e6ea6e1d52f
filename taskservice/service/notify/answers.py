"""What came of an attempt to send a message, in words that hold no secret."""

from dataclasses import dataclass

SECONDS = 10.0
"""How long an attempt may take over all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Whether a message was taken, and what is to be told of it: never what was answered."""

    taken: bool
    told: str


def refused(told: str) -> Answer:
    """The answer where a message was not taken."""
    return Answer(taken=False, told=told)


LATE = refused("no answer in time")
"""The answer where time ran out."""
