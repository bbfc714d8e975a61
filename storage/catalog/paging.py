"""Long lists: what is looked for in them, and which part of them is wanted. Pages count from 1."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.errors import BadValue

MAX_PAGE_SIZE = 1000


def equal(*wanted: tuple[ColumnElement[Any], object | None]) -> list[ColumnElement[bool]]:
    """The columns have these values; None: any."""
    return [column == value for column, value in wanted if value is not None]


def check_page(page: int, limit: int) -> None:
    """Raises BadValue for a page or limit (1 to 1000) that can't be."""
    if page < 1 or not 1 <= limit <= MAX_PAGE_SIZE:
        raise BadValue(f"page {page} of {limit} is not possible")


def paged(statement: Select[Any], page: int, limit: int) -> Select[Any]:
    return statement.limit(limit).offset((page - 1) * limit)


async def total_of(connection: AsyncConnection, statement: Select[Any]) -> int:
    """How many rows a statement has."""
    counting = select(func.count()).select_from(statement.subquery())
    return await connection.scalar(counting) or 0
