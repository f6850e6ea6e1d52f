"""The table of who may what: complete, and the one that the documents print."""

import re

import pytest
from litestar import Litestar, get

from taskservice.settings import Settings
from taskservice.web import rules
from taskservice.web.app import create_app
from taskservice.web.rules import RULES, Rule
from tests.test_documents import read


def row(operation: str, rule: Rule) -> str:
    """A rule as `docs/security.md` has it."""
    who = "everybody" if rule.needs is None else rule.needs
    return f"| `{operation}` | {who}{', or a webhook' if rule.webhook else ''} | {rule.narrowed} |"


def test_the_documents_print_it() -> None:
    rows = "\n".join(row(operation, rule) for operation, rule in RULES.items())
    printed = re.search(r"<!-- rules -->\n\n.*\n.*\n((?:\|.*\n)+)", read("docs/security.md"))
    assert printed is not None
    assert printed[1] == f"{rows}\n"


@get("/another")
async def another() -> None:
    """A route that has no rule."""


def test_a_route_without_a_rule_is_refused_and_a_rule_without_a_route() -> None:
    routes = create_app(Settings()).routes
    with pytest.raises(RuntimeError, match=r"differ: GET /another$"):
        rules.check([*routes, *Litestar([another], openapi_config=None).routes])
    with pytest.raises(RuntimeError, match=r"differ: GET /events, GET /metrics$"):
        rules.check([one for one in routes if one.path not in ("/events", "/metrics")])


@get("/workers")
async def blind() -> None:
    """A route that is to answer with what is in sight, and does not ask what that is."""


def test_a_route_that_does_not_ask_what_is_seen_is_refused() -> None:
    routes = [one for one in create_app(Settings()).routes if one.path != "/workers"]
    with pytest.raises(RuntimeError, match=r"which tasks are seen: GET /workers$"):
        rules.check([*routes, *Litestar([blind], openapi_config=None).routes])


def test_what_has_no_other_rule_is_refused_to_a_token_with_tags() -> None:
    assert Rule("viewer").narrowed == rules.REFUSED
