"""Which files are the users' own code, and where in it an exception came from."""

import functools
import os
import site
import sys
import sysconfig
import traceback


def in_one_line(error: BaseException) -> str:
    """An exception as the last line of its traceback, behind the place in the user's own code.

    `file.py:12: SyntaxError: …`: the file as it is found from `sys.path`. An exception that comes
    from no file of a user's has no place.
    """
    lines = "".join(traceback.format_exception_only(error)).strip().splitlines()
    said = lines[-1].strip()
    place = _place(error)
    return f"{place}: {said}" if place else said


def is_users(file: str) -> bool:
    """Whether a file is a user's own: neither Python's, nor installed, nor the service's."""
    return os.path.isabs(file) and not file.startswith(_others())


def files_of(error: BaseException | None) -> list[str]:
    """The user's own files that an exception came through, the last one of them last."""
    return [file for file, _ in _places(error)]


def _place(error: BaseException) -> str:
    places = _places(error)
    return f"{_from_folder(places[-1][0])}:{places[-1][1]}" if places else ""


def _places(error: BaseException | None) -> list[tuple[str, int]]:
    if error is None:
        return []
    places = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if is_users(frame.f_code.co_filename)
    ]
    if isinstance(error, SyntaxError) and error.filename and is_users(error.filename):
        places.append((error.filename, error.lineno or 1))
    return places


def _from_folder(file: str) -> str:
    """A file by its path from the folder of `sys.path` that it is found in."""
    folders = [f"{os.path.abspath(folder)}/" for folder in sys.path if isinstance(folder, str)]
    longest = max((folder for folder in folders if file.startswith(folder)), key=len, default="")
    return file.removeprefix(longest)


@functools.cache
def _others() -> tuple[str, ...]:
    """The folders whose files are no user's, each with a slash at its end."""
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {*site.getsitepackages(), site.getusersitepackages()}
    folders.add(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return tuple(f"{folder}/" for folder in sorted(folders))
