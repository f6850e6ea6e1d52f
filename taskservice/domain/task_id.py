"""What may be the id of a task: it is a table's key, a part of URLs and a file's name."""

from taskservice.domain.check import JsonSchema

MAX_LENGTH = 36

_RESERVED = "/\\?#%,"
_IN_BRACKETS = _RESERVED.replace("\\", r"\\")

ID_SCHEMA: JsonSchema = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_LENGTH,
    "pattern": rf"^[^\s.{_IN_BRACKETS}][^\s{_IN_BRACKETS}]*$",
}
"""What JSON Schema can say of an id."""


def id_fault(task_id: str) -> str | None:
    """Why `task_id` can't be the id of a task, told to a person; None: it can.

    An id has 1 to 36 printable characters, no whitespace and none of `/ \\ ? # %`,
    and doesn't begin with a dot.
    """
    if not task_id:
        return "an id can't be empty"
    if len(task_id) > MAX_LENGTH:
        return f"an id has at most {MAX_LENGTH} characters, this one has {len(task_id)}"
    if task_id.startswith("."):
        return "an id doesn't begin with a dot"
    for character in task_id:
        if character.isspace():
            return "an id has no whitespace; use '-' or '_' instead"
        if not character.isprintable():
            return f"an id has printable characters only, not U+{ord(character):04X}"
        if character in _RESERVED:
            return f"an id has no '{character}': it stands in URLs"
    return None
