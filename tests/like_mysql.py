"""MariaDB's tables as MySQL would have them: with JSON that comes back in MySQL's own form.

MySQL keeps JSON parsed (its manual, "The JSON Data Type"): what is read has the keys of an object
in the order of their lengths, then of their bytes, and a space behind each comma and colon. So it
is equal to what was written as a value, and hardly ever as a text. MariaDB keeps the text. Triggers
make the difference here; its own `JSON_NORMALIZE` would turn every integer into a float.
"""

from collections.abc import Iterator

from sqlalchemy import JSON

from taskservice.storage.tables import metadata

LEVELS = 5
"""How deep objects are put in order; what is deeper keeps its order, as does what is very long."""

LONG = 20_000

_VALUE = "taskservice_json_{below}(JSON_EXTRACT({items}, CONCAT('$[', seq - 1, ']')))"
# The keys and the values of an object come in the same order, so no path has to name a key.
_FUNCTION = """
CREATE FUNCTION taskservice_json_{level}(doc longtext CHARACTER SET utf8mb4)
RETURNS longtext CHARACTER SET utf8mb4 DETERMINISTIC
BEGIN
    DECLARE keys_of, items longtext CHARACTER SET utf8mb4;
    IF JSON_TYPE(doc) = 'OBJECT' THEN
        SET keys_of = JSON_KEYS(doc), items = JSON_EXTRACT(doc, '$.*');
        RETURN CONCAT('{{', COALESCE((
            SELECT GROUP_CONCAT(JSON_QUOTE(name), ': ', {value}
                                ORDER BY LENGTH(name), name SEPARATOR ', ')
            FROM JSON_TABLE(keys_of, '$[*]' COLUMNS (
                seq FOR ORDINALITY,
                name longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$')) AS keyed
        ), ''), '}}');
    ELSEIF JSON_TYPE(doc) = 'ARRAY' AND JSON_LENGTH(doc) > 0 THEN
        SET items = doc;
        RETURN (
            SELECT CONCAT('[', GROUP_CONCAT({value} ORDER BY seq SEPARATOR ', '), ']')
            FROM JSON_TABLE(doc, '$[*]' COLUMNS (seq FOR ORDINALITY)) AS item
        );
    END IF;
    RETURN doc;
END
"""


def statements() -> Iterator[str]:
    """What makes a database of MariaDB's, whose tables are there, behave so."""
    yield (
        "CREATE FUNCTION taskservice_json_0(doc longtext CHARACTER SET utf8mb4) "
        "RETURNS longtext CHARACTER SET utf8mb4 DETERMINISTIC RETURN JSON_LOOSE(doc)"
    )
    for level in range(1, LEVELS + 1):
        value = _VALUE.format(below=level - 1, items="items")
        yield _FUNCTION.format(level=level, value=value)
    for table in metadata.sorted_tables:
        names = [column.name for column in table.c if isinstance(column.type, JSON)]
        changed = ", ".join(
            f"NEW.{name} = IF(LENGTH(NEW.{name}) > {LONG}, JSON_LOOSE(NEW.{name}), "
            f"taskservice_json_{LEVELS}(NEW.{name}))"
            for name in names
        )
        for event in ("INSERT", "UPDATE") if names else ():
            yield (
                f"CREATE TRIGGER {table.name}_{event.lower()} BEFORE {event} ON {table.name} "
                f"FOR EACH ROW SET {changed}"
            )
