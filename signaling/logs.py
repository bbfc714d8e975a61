"""The log: one line for each record, without what would let its reader in.

Clients choose identities, room names and request lines, and libraries log them. So the formatter, not
the caller, keeps a record on its line and takes secrets out of it, whichever logger it came from.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Final

HIDDEN: Final = "..."
LONGEST_SHOWN: Final = 100  # characters of a name that a client chose
LONGEST_MESSAGE: Final = 10_000  # characters

_SECRETS: Final = (
    re.compile(r"(?i)(\b(?:access_token|join_request|sig|token)=)[^&\s\"'<>]+"),
    re.compile(r"(?i)(\bbearer\s+)[^\s\"',]+"),
    re.compile(r"(/invites/)[^/?\s\"']+"),
    # A JWT anywhere else: both of its JSON parts begin like this.
    re.compile(r"()\beyJ[\w-]{8,}(?:\.[\w-]*)*"),
)
_CHATTY: Final = ("alembic", "aioice", "asyncio", "aiosqlite")


def shown(text: str) -> str:
    """A name that a client chose, for a log line: quoted, escaped, of bounded length."""
    return repr(text[:LONGEST_SHOWN])


def redacted(text: str) -> str:
    """`text` without the values of tokens, signatures, join requests and invite codes."""
    for pattern in _SECRETS:
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text


class OneLineFormatter(logging.Formatter):
    """Control characters are escaped; the lines of a traceback are indented below their record."""

    def format(self, record: logging.LogRecord) -> str:
        """Made anew: the traceback text that records cache may be another formatter's."""
        record.message, record.asctime = record.getMessage(), self.formatTime(record)
        line = redacted(self.formatMessage(record))
        cut = line[:LONGEST_MESSAGE] + (HIDDEN if len(line) > LONGEST_MESSAGE else "")
        below = []
        if record.exc_info:
            below.append(self.formatException(record.exc_info))
        if record.stack_info:
            below.append(self.formatStack(record.stack_info))
        return "\n".join([_escaped(cut), *map(_indented, below)])


def configure_logging(level: str) -> None:
    """Every record to stderr, through the formatter above. Once, at the start of a command."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLineFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    if level != "debug":
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)


def _indented(text: str) -> str:
    return "\n".join("  " + _escaped(line) for line in redacted(text).split("\n"))


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
