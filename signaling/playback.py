"""How the bytes of a recording reach a browser: by a CDN, from the bucket, or through this server.

A link is good for one object and for two hours. Signed links to a CDN are checked by the CDN: Bunny's
token authentication (its advanced form: HMAC-SHA256), or Cloudflare's `is_timed_hmac_valid_v0` in a
rule or a Worker; docs/storage.md has both set-ups.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote, urlsplit

from recorder.depots import Depots
from signaling.links import LIFE
from signaling.settings import Settings
from signaling.stores import media_origins
from storage.catalog import FileRow
from storage.objects import Signer

CdnSigning = Literal["none", "bunny", "cloudflare"]


@dataclass(frozen=True, slots=True)
class Cdn:
    """`clock` gives unix time in seconds."""

    url: str
    signing: CdnSigning = "none"
    key: str = ""
    clock: Callable[[], float] = time.time

    def link(self, key: str) -> str:
        """The link to an object: `CDN_URL` and its key, signed if so set."""
        quoted = "/" + quote(key)
        # what is signed is the whole path that the CDN sees
        path = urlsplit(self.url).path + quoted
        match self.signing:
            case "none":
                return self.url + quoted
            case "bunny":
                expires = str(int(self.clock() + LIFE.total_seconds()))
                mac = hmac.digest(self.key.encode(), (path + expires).encode(), hashlib.sha256)
                token = base64.urlsafe_b64encode(mac).decode().rstrip("=")
                return f"{self.url}{quoted}?token=HS256-{token}&expires={expires}"
            case "cloudflare":
                now = str(int(self.clock()))
                mac = hmac.digest(self.key.encode(), (path + now).encode(), hashlib.sha256)
                return f"{self.url}{quoted}?verify={now}-{quote(base64.b64encode(mac), safe='')}"


class Playback:
    """`origins` are where `link` may lead, for the Content-Security-Policy of our pages."""

    def __init__(self, settings: Settings, depots: Depots) -> None:
        self._depots = depots
        self._redirects = settings.recording_playback == "redirect"
        self._cdn = (
            Cdn(
                settings.cdn_url,
                settings.cdn_signing,
                settings.cdn_signing_key.get_secret_value(),
            )
            if settings.cdn_url
            else None
        )
        self.origins: Final = media_origins(settings)

    def cdn_link(self, file: FileRow) -> str | None:
        """Where the CDN has the file; None without one, or for what is not behind it."""
        if self._cdn is None or file.provider != self._depots.main:
            return None
        return self._cdn.link(file.key)

    async def link(self, file: FileRow, name: str, *, download: bool) -> str | None:
        """Where a browser gets the file; None when this server has to send it itself.

        `name` is what it is saved as. A CDN can't be told that, so downloads pass it by: they come
        from the bucket, or from here where browsers are kept away from it. Raises what the store
        raises.
        """
        store = self._depots.store(file.provider)
        if not download and (link := self.cdn_link(file)):
            return link
        if self._redirects and isinstance(store, Signer):
            signed = await store.sign_get(
                file.key,
                LIFE,
                file_name=name,
                content_type=file.content_type,
                download=download,
            )
            return signed.url
        return None
