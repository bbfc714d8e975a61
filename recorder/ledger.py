"""The states of a finished file on its way into storage, as a table.

    waiting --kept by the main store--------> stored --local copy removed--> (struck)
       |
       +----kept by the fallback------------> away ---kept by the main store--> left
                                                                                 |
                                                         (struck) <--removed at the fallback

A store has "kept" a file when the object was read back and its size and SHA-256 are the file's. The
local copy goes last: with `away`, too, when the whole recording is kept somewhere. A killed server
finds each file where its row says it is and goes on from there.
"""

from __future__ import annotations

from enum import StrEnum

from recorder.depots import Depots


class DeliveryState(StrEnum):
    WAITING = "waiting"
    STORED = "stored"
    AWAY = "away"
    LEFT = "left"


LOCAL = frozenset({DeliveryState.WAITING, DeliveryState.STORED})
"""There is a local copy."""


def kept_at(provider: str, depots: Depots) -> DeliveryState:
    """The state of a file that `provider` has kept."""
    return DeliveryState.STORED if provider == depots.main else DeliveryState.AWAY
