"""What `taskservice run` says as it starts."""

import structlog

from taskservice.cli.serve import warn_of_short_tokens
from taskservice.settings import Settings


def test_short_tokens_are_told_by_their_names() -> None:
    given = "ann:viewer:123456789012345,ben:admin:1234567890123456,cy:viewer:x"
    settings = Settings.from_environment({"TASKSERVICE_API_TOKENS": given})
    with structlog.testing.capture_logs() as logged:
        warn_of_short_tokens(settings)
    assert logged == [
        {"event": "short_token", "token": name, "least": 16, "log_level": "warning"}
        for name in ("ann", "cy")
    ]
