"""A provider of the settings, tried out: what works, what does not, and which setting to change."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from recorder.object_keys import KEY_ROOT
from signaling.settings import Settings
from signaling.storage_advice import Refusal, advice
from signaling.stores import open_store
from storage.errors import StorageError
from storage.objects import Retrier, RetryPolicy
from storage.objects.checkup import Finding, Reach, Step, checkup, straight

IMPATIENT: Final = RetryPolicy(attempts=3, first_pause=0.2, longest_pause=1.0, total=5.0)


@dataclass(frozen=True, slots=True)
class Checked:
    """A step with a provider. `complaint` is one sentence for the operator, "" when it works."""

    provider: str
    step: Step
    seconds: float
    complaint: str = ""

    @property
    def fine(self) -> bool:
        return not self.complaint


def providers_in_use(settings: Settings) -> tuple[str, ...]:
    """Where new recordings go: the main provider, and the fallback if there is one."""
    main, fallback = settings.recording_storage_provider, settings.recording_fallback_provider
    return (main,) if fallback is None else (main, fallback)


async def check_provider(settings: Settings, provider: str) -> AsyncGenerator[Checked, None]:
    """Every step of `storage.objects.checkup` with the store of a configured provider.

    To end early, close the iterator.
    """
    try:
        store = open_store(settings, provider, Retrier(IMPATIENT))
    except StorageError as error:
        yield _checked(settings, provider, Finding(Step.OPEN, 0.0, error))
        return
    try:
        async with aclosing(checkup(store, KEY_ROOT, reach=_reach(settings, provider))) as findings:
            async for finding in findings:
                yield _checked(settings, provider, finding)
    finally:
        await store.close()


def _checked(settings: Settings, provider: str, finding: Finding) -> Checked:
    complaint = ""
    if (problem := finding.problem) is not None:
        what_to_do = advice(Refusal(settings, provider, finding.step, problem))
        complaint = "; ".join(filter(None, [" ".join(str(problem).split()), what_to_do]))
    return Checked(provider, finding.step, finding.seconds, complaint)


def _reach(settings: Settings, provider: str) -> Reach:
    """Signed links lead to Vercel's own host, also where this machine reaches it elsewhere."""
    if provider != "vercel-blob" or not settings.vercel_blob_api_url:
        return straight
    api = urlsplit(settings.vercel_blob_api_url)

    def by_the_api(url: str) -> tuple[str, Mapping[str, str]]:
        parts = urlsplit(url)
        reached = urlunsplit((api.scheme, api.netloc, parts.path, parts.query, ""))
        return reached, {"Host": parts.netloc}

    return by_the_api
