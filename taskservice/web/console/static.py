"""The files that pages link to: their address changes with their content, so they may be kept."""

import hashlib
from pathlib import Path

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

FOLDER = Path(__file__).parent / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

_FILES = {
    path.name: (path.read_bytes(), TYPES[path.suffix])
    for path in sorted(FOLDER.iterdir())
    if path.suffix in TYPES
}
DIGEST = hashlib.sha256(b"".join(data for data, _ in _FILES.values())).hexdigest()[:16]
"""Of all files together: modules import one another."""


def address(name: str) -> str:
    """The address of a file, which must be there."""
    if name not in _FILES:
        raise KeyError(name)
    return f"/static/{DIGEST}/{name}"


@get("/static/{digest:str}/{name:str}", opt={"console": True})
async def get_static(digest: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """A file; for ever, if the address has today's digest."""
    if name not in _FILES:
        raise NotFoundException()
    data, media_type = _FILES[name]
    kept = "public, max-age=31536000, immutable" if digest == DIGEST else "no-cache"
    headers = {"Cache-Control": kept, "X-Content-Type-Options": "nosniff"}
    return Response(data, media_type=f"{media_type}; charset=utf-8", headers=headers)


HANDLERS = (get_static,)
