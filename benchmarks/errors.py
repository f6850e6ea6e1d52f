"""Why something can't be measured."""


class Missing(Exception):
    """A program or library that a peer needs is not installed; the text says what to do."""


class Failed(Exception):
    """A process that was to be measured did not start, or said nothing; the text has its log."""
