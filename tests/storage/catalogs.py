"""Migrated catalogs, as most tests want them.

SQLAlchemy and Alembic take a tenth of a second to make one from nothing; so a process does it once,
and copies the file of it. The migrations themselves are tested in `test_catalog_migrations`.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from storage.catalog import migrate
from storage.catalog.address import parse_address

_made: list[bytes] = []


async def migrated(url: str) -> str:
    """The URL, of a database that has every migration; one that was there keeps its rows."""
    file = parse_address(url).file
    if file is None or file.exists():
        await migrate(url)
    else:
        file.write_bytes(await _empty_catalog())
    return url


async def _empty_catalog() -> bytes:
    if not _made:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "catalog.db"
            await migrate(f"sqlite:///{file}")
            assert [path.name for path in file.parent.iterdir()] == [file.name], "all is in it"
            _made.append(file.read_bytes())
    return _made[0]
