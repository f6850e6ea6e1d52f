"""The exit statuses of commands, beside 0."""

FAULT = 1
CHANGES = 2
"""A plan found something to do."""

WRONG_USAGE = 64
INTERRUPTED = 130
