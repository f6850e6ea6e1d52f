"""Why a value can't be taken."""


class WrongValue(Exception):
    """Why a value is refused; `shown` stands for the value where that may hold a secret."""

    def __init__(self, allowed: str, *, shown: str | None = None) -> None:
        super().__init__(allowed)
        self.shown = shown
