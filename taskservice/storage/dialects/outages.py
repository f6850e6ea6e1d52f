"""Which errors of a driver mean that the database can't be reached or used now."""

from collections.abc import Collection

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout


def is_outage(error: BaseException, refusals: Collection[int] = ()) -> bool:
    """Whether the database can't be reached or used; `refusals` are numbers of other errors."""
    if isinstance(error, DBAPIError):
        refused = isinstance(error, IntegrityError | ProgrammingError | DataError)
        return not refused and number_of(error) not in refusals
    if isinstance(error, RuntimeError):
        # uvloop and asyncmy say so of a transport that is gone, or went while it was opened.
        return "closed" in str(error) or "does not expose socket" in str(error)
    return isinstance(error, PoolTimeout | OSError | TimeoutError | EOFError)


def number_of(error: BaseException) -> object:
    """The number that the server has for an error; None for one that is not the server's."""
    if isinstance(error, DBAPIError) and error.orig and error.orig.args:
        return error.orig.args[0]
    return None
