"""How a command ends that can't do what it was asked: one line on stderr, and an exit status."""

from __future__ import annotations

import argparse
import sys
from typing import Final, Never

EXIT_REFUSED: Final = 1
EXIT_WRONG: Final = 2
EXIT_INTERRUPTED: Final = 130


def refuse(message: str, status: int) -> Never:
    """One line on stderr, and the end."""
    print("mediaserver: " + " ".join(message.split()), file=sys.stderr)  # noqa: T201
    sys.exit(status)


class OneLineParser(argparse.ArgumentParser):
    """A wrong command line is told in one line, like a wrong setting."""

    def error(self, message: str) -> Never:
        self.exit(EXIT_WRONG, f"{self.prog}: {message}; `{self.prog} --help` lists what there is\n")
