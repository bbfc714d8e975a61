"""Where a Vercel Blob store is: its control API and the hosts that deliver its objects. Pure.

The API is one address for all stores; the token says which store is meant. Objects are delivered by
`<store>.<access>.blob.vercel-storage.com`. With an API address of one's own (a proxy, a test) the
connections for both go there, and what is meant for a delivery host says so in its Host header.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args
from urllib.parse import quote, urlencode, urlsplit

from storage.errors import CredentialsRefused, EndpointWrong, StoreMisconfigured

Access = Literal["public", "private"]

API_URL = "https://vercel.com/api/blob"
API_VERSION = "12"
DELIVERY_DOMAIN = "blob.vercel-storage.com"

_TOKEN = re.compile(r"vercel_blob_rw_([A-Za-z0-9-]+)_[!-~]+")


@dataclass(frozen=True, slots=True)
class BlobAddress:
    """`api_url` has no "/" at its end. `delivery_origin` is where connections for downloads go."""

    token: str = field(repr=False)
    store: str
    access: Access
    api_url: str
    delivery_host: str
    delivery_origin: str

    @property
    def api_host(self) -> str:
        return urlsplit(self.api_url).netloc

    def api(self, path: str, query: Mapping[str, str]) -> str:
        """`path` begins with "/" or is empty."""
        return f"{self.api_url}{path}?{urlencode(query, quote_via=quote)}"

    def object_url(self, key: str, query: Mapping[str, str]) -> str:
        """As everyone may use it."""
        return self._object_at(f"https://{self.delivery_host}", key, query)

    def reachable_object_url(self, key: str, query: Mapping[str, str]) -> str:
        """As this process reaches it, with `delivery_host` in the Host header."""
        return self._object_at(self.delivery_origin, key, query)

    @staticmethod
    def _object_at(origin: str, key: str, query: Mapping[str, str]) -> str:
        return f"{origin}/{quote(key)}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")


def blob_address(token: str, api_url: str | None, access: str) -> BlobAddress:
    """Raises CredentialsRefused, EndpointWrong, StoreMisconfigured."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise CredentialsRefused(
            "the Vercel Blob token does not have the form vercel_blob_rw_<store>_<secret>"
            " of a BLOB_READ_WRITE_TOKEN"
        )
    if access not in get_args(Access):
        raise StoreMisconfigured(f"a Vercel Blob store is 'public' or 'private', not {access!r}")
    kind = cast(Access, access)
    host = f"{match[1].lower()}.{kind}.{DELIVERY_DOMAIN}"
    origin = f"https://{host}" if api_url is None else _origin(api_url)
    return BlobAddress(token, match[1], kind, (api_url or API_URL).rstrip("/"), host, origin)


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.query or parts.fragment:
        raise EndpointWrong(
            "the address of the Vercel Blob API is no http(s) URL of a host and a path"
        )
    return f"{parts.scheme}://{parts.netloc}"
