"""The header that tells a browser what a file is called, and whether to show or to save it. Pure."""

from __future__ import annotations

from urllib.parse import quote


def content_disposition(name: str, *, download: bool) -> str:
    """RFC 6266, with the ASCII form for clients that know no other."""
    kind = "attachment" if download else "inline"
    plain = name.encode("ascii", "replace").decode()
    ascii_name = "".join(
        "_" if char in '?"\\' or not char.isprintable() else char for char in plain
    )
    return f"{kind}; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"
