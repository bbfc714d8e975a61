"""What is looked after while the server runs."""

from __future__ import annotations

from datetime import timedelta

from recorder.delivery import Deliverer
from recorder.homecoming import Homecoming
from recorder.journals import journals_root
from recorder.keeper import Chore, Keeper
from recorder.orphans import Orphans
from recorder.reaper import Limits, Reaper
from recorder.retention import Retention
from recorder.targets import Targets
from signaling.clock import now
from signaling.rest.services import Services
from signaling.room_settings import limits_of
from signaling.settings import Settings
from signaling.stores import (
    links_last,
    retention_policy,
)


def chores(services: Services, deliverer: Deliverer, targets: Targets) -> Keeper:
    """Every chore of a server, none of them begun."""
    settings, catalog, depots = services.settings, services.catalog, services.depots
    homecoming = Homecoming(catalog, depots, clock=now, links_last=links_last(depots))
    retention = Retention(
        catalog,
        depots,
        journals_root(settings.data_dir),
        retention_policy(settings),
        clock=now,
    )
    orphans = Orphans(depots, services.local_objects, clock=now, alive=services.uploads.upload_ids)
    no_media = timedelta(minutes=settings.recording_no_media_minutes) or None

    async def limits(room: str) -> Limits:
        return limits_of(await services.room_book.of(room), no_media)

    reaper = Reaper(
        services.recordings, services.space, limits, clock=now, spare=services.live.spare
    )
    return Keeper(
        Chore("reaper", 1.0, reaper.look),
        Chore("targets", 300.0, targets.look),
        Chore("webhooks", 600.0, services.webhooks.expire),
        Chore("deliveries", 5.0, deliverer.look_for_hurry),
        Chore("client copies", 1.0, services.copies.look, first=1.0),
        Chore("renders", 2.0, services.renderer.look, first=2.0),
        Chore("recordings to finish", 5.0, services.recordings.look, first=5.0),
        Chore("homecoming", 15.0, homecoming.look),
        Chore("unfinished uploads", 6 * 3600.0, orphans.look),
        Chore("upload sessions", _between(settings), services.uploads.look),
        Chore("late uploads", 600.0, services.uploads.sweep),
        Chore("tus uploads", 15.0, services.tus.look),
        Chore("media library", 5.0, services.library.look),
        Chore("media trash", 3600.0, services.library.purge, first=60.0),
        # not at once: the clock of a machine that just booted may still be wrong
        Chore("retention", 3600.0, retention.look, first=3600.0),
        Chore("traffic", 60.0, services.traffic.flush),
        Chore("disk space", 30.0, services.space.look),
    )


def _between(settings: Settings) -> float:
    """Seconds between two looks for upload sessions that are over."""
    return min(30.0, settings.upload_session_timeout / 4)
