"""One value of YAML, as a variable has it: by the rules of task files."""

from taskservice.sync.text.yaml_walk import Stop, Walk, text_of


def read_value(text: str) -> object:
    """The value of a text; raises ValueError with the reason where it is none."""
    # As that of a key, whatever its style: every line is further in than the key.
    lines = "\n ".join(text.replace("\r", "\n").split("\n"))
    walk = Walk()
    try:
        root = walk.document(text_of(f"value:\n {lines}\n".encode("utf-8", "surrogatepass")))
    except Stop as stop:
        raise ValueError(stop.reason) from None
    if walk.notes:
        raise ValueError(walk.notes[0].reason)
    return root["value"]
