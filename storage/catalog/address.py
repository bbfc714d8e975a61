"""What a database URL means. Pure.

`sqlite:///relative/path`, `sqlite:////absolute/path` and `postgresql://user:password@host/name`
are the URLs. PostgreSQL takes `host` (the folder of a Unix socket), `port` and `sslmode` as query.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from storage.errors import BadCatalogUrl

EXAMPLES = "write sqlite:///data/mediaserver.db or postgresql://user:password@host/database"
QUERY_NAMES = {"host": "host", "port": "port", "sslmode": "ssl"}  # ours -> asyncpg's


@dataclass(frozen=True, slots=True)
class Address:
    """`shown` may be printed: it has no password. `file` is None on PostgreSQL."""

    url: URL
    shown: str
    file: Path | None


def parse_address(url: str) -> Address:
    """Raises BadCatalogUrl with a sentence that has an example."""
    try:
        given = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise BadCatalogUrl(f"this is no database URL; {EXAMPLES}") from error
    match given.drivername:
        case "sqlite":
            return _sqlite(given)
        case "postgresql":
            return _postgresql(given)
        case other:
            raise BadCatalogUrl(f"databases of kind {other!r} are not supported; {EXAMPLES}")


def _sqlite(given: URL) -> Address:
    if given.host or given.query or given.database in (None, "", ":memory:"):
        raise BadCatalogUrl(f"a SQLite URL is sqlite:/// and the path of a file; {EXAMPLES}")
    file = Path(str(given.database)).absolute()
    return Address(URL.create("sqlite+aiosqlite", database=str(file)), str(file), file)


def _postgresql(given: URL) -> Address:
    shown = given.render_as_string(hide_password=True)
    if not given.database:
        raise BadCatalogUrl(f"{shown} names no database; {EXAMPLES}")
    if unknown := sorted(given.query.keys() - QUERY_NAMES.keys()):
        raise BadCatalogUrl(f"{shown} has the unknown parameter {unknown[0]!r}; {EXAMPLES}")
    query = {QUERY_NAMES[name]: value for name, value in given.query.items()}
    return Address(given.set(drivername="postgresql+asyncpg", query=query), shown, None)
