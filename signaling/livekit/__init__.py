"""The LiveKit client protocol: signalling sessions, rooms and their participants."""

from signaling.livekit.calls import CallObserver
from signaling.livekit.limits import ConferenceLimits
from signaling.livekit.rooms import Conferences, ParticipantSnapshot

__all__ = ["CallObserver", "ConferenceLimits", "Conferences", "ParticipantSnapshot"]
