"""What functions are called with: `${NAME}` filled in, and kept out of what people read.

Section 4 of the contract has the form of a placeholder.
"""

import json
import re
from collections.abc import Mapping

from taskservice.domain.errors import Fault, Invalid
from taskservice.engine.executor import ERROR_MARK, RESULT_MARK
from taskservice.engine.output import MARK as OUTPUT_MARK

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_SECRET_LENGTH = 4


def fill(
    func_args: Mapping[str, object], environ: Mapping[str, str]
) -> tuple[dict[str, object], frozenset[str]]:
    """Replace `${NAME}` and `${NAME:-default}` in every string, in lists and mappings too.

    As in a shell, a default stands for an empty variable too. Returns the arguments
    and the values that came from the environment and have at least 4 characters:
    they are to be masked. Raises Invalid, naming every variable that is not set.
    """
    secrets: set[str] = set()
    faults: list[Fault] = []

    def filled(value: object, field: str) -> object:
        if isinstance(value, str):
            return _PLACEHOLDER.sub(lambda match: replaced(match, field), value)
        if isinstance(value, list):
            return [filled(each, field) for each in value]
        if isinstance(value, dict):
            return {key: filled(each, field) for key, each in value.items()}
        return value

    def replaced(match: re.Match[str], field: str) -> str:
        name, default = match.groups()
        value = environ.get(name)
        if default is not None and not value:
            return str(default)
        if value is None:
            faults.append(Fault(field=field, reason=f"the environment has no variable {name}"))
            return ""
        if len(value) >= _SECRET_LENGTH:
            secrets.add(value)
        return value

    result = {key: filled(value, f"func_args.{key}") for key, value in func_args.items()}
    if faults:
        raise Invalid(faults)
    return result, frozenset(secrets)


def mask(text: str, secrets: frozenset[str]) -> str:
    """Replace each secret by `***`, also where it stands quoted as in JSON or in a `repr`.

    A part of a secret, of 4 characters or more, is replaced where a cut left it.
    """
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "***")
        for mark in (OUTPUT_MARK, RESULT_MARK, ERROR_MARK):
            text = _mask_cut(text, form, mark)
    return text


def _mask_cut(text: str, form: str, mark: str) -> str:
    at = text.rfind(mark)
    for length in range(len(form) - 1, _SECRET_LENGTH - 1, -1):
        if at >= length and text.startswith(form[:length], at - length):
            return f"{text[: at - length]}***{text[at:]}"
    return text


def _forms(secret: str) -> set[str]:
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
    }
