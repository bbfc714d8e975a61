"""Everything the media plane raises.

MediaError
├── BadOffer          the peer's fault: a session description that can't be used
├── UnknownPeer       the caller's misuse: no such peer (or it left meanwhile)
├── UnknownTrack      the caller's misuse: no such track (or it ended meanwhile)
├── PortTaken         the operator's: the media port can't be bound
├── JournalError      a journal file can't be written or read
└── WorkerGone        our own fault: the media worker died before it answered
"""


class MediaError(Exception):
    """Base of all errors of this package. `code` is stable and fit for clients."""

    code = "media_error"


class BadOffer(MediaError):
    code = "bad_offer"


class UnknownPeer(MediaError):
    code = "unknown_peer"


class UnknownTrack(MediaError):
    code = "unknown_track"


class PortTaken(MediaError):
    code = "port_taken"


class JournalError(MediaError):
    code = "journal_error"


class WorkerGone(MediaError):
    code = "worker_gone"
