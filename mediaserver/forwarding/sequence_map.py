"""How a publisher's sequence numbers appear to one subscriber, and back.

While a subscription runs, output = input + offset (mod 2^16). Each pause, or change of source, starts
a new run with a new offset so that the output stays without gaps; retransmission requests may
still speak of the run before. A value per subscription; a few runs are remembered.
"""

from __future__ import annotations

RUNS_KEPT = 8


class SequenceMap:
    """Runs of `(first input, first output)`; the newest is the one in force."""

    __slots__ = ("_runs", "offset")

    def __init__(self) -> None:
        self._runs: list[tuple[int, int]] = []
        self.offset = 0

    def start(self, first_input: int, first_output: int) -> None:
        """From input `first_input` on, output continues with `first_output`."""
        self.offset = (first_output - first_input) & 0xFFFF
        self._runs.append((first_input, first_output))
        del self._runs[:-RUNS_KEPT]

    def settle(self, newest_input: int) -> None:
        """Forget what is too old to be asked for; call at least every 16384 packets.

        Numbers are compared modulo 2^16, so the remembered start of a run must stay near its end.
        """
        if not self._runs:
            return
        first_input, first_output = self._runs[-1]
        length = (newest_input - first_input) & 0xFFFF
        if 0x4000 < length < 0x8000:
            step = length - 0x2000
            self._runs = [((first_input + step) & 0xFFFF, (first_output + step) & 0xFFFF)]

    def to_output(self, sequence: int) -> int | None:
        """Output number of an input packet that may be late; None if it precedes this run."""
        if not self._runs or (sequence - self._runs[-1][0]) & 0xFFFF >= 0x8000:
            return None
        return (sequence + self.offset) & 0xFFFF

    def to_input(self, sequence: int) -> int | None:
        """Input number behind an output number; None if it is older than the runs kept."""
        for first_input, first_output in reversed(self._runs):
            distance = (sequence - first_output) & 0xFFFF
            if distance < 0x8000:
                return (first_input + distance) & 0xFFFF
        return None
