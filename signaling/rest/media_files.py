"""Playing what is in the media library: the files themselves, what was made of them, captions."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from recorder.errors import MediaDeleted, UnknownMedia
from recorder.media.objects import find_captions, find_file, original_file, stored_file
from signaling.links import LinkSigner
from signaling.rest import media_represent as represent
from signaling.rest import relinking
from signaling.rest.media import owner
from signaling.rest.playing import play, play_text
from signaling.rest.sending import read_text
from signaling.rest.services import services_of
from storage.catalog import MEDIA_LIBRARY, MediaRow

_MASTER_LINE: Final = re.compile(r"^(hls-[a-z0-9]+)\.m3u8$", re.MULTILINE)


async def original(request: web.Request) -> web.StreamResponse:
    """GET, HEAD /api/v1/media/media/{id}/file: the file, by its owner's token or a signed link."""
    row = await _playable(request, represent.original_path(request.match_info["id"]))
    return await play(
        request, original_file(row), represent.saved_as(row, row.content_type), MEDIA_LIBRARY
    )


async def made(request: web.Request) -> web.StreamResponse:
    """GET, HEAD /api/v1/media/media/{id}/files/{name}: pictures, renditions, playlists."""
    services, name = services_of(request), request.match_info["name"]
    row = await _playable(request, represent.file_path(request.match_info["id"], name))
    entry = find_file(row, name)
    if entry is None:
        raise UnknownMedia(f"the media file has no {name[:40]!r}")
    file = stored_file(row, entry)
    saved = represent.saved_as(row, file.content_type, name)
    if file.content_type.startswith("text/") or file.content_type.endswith("mpegurl"):
        text = await read_text(services.depots.store(file.provider), file.key)
        text = _linked(services.links, row, name, text)
        return await play_text(request, file, text, saved, MEDIA_LIBRARY)
    return await play(request, file, saved, MEDIA_LIBRARY)


async def captions(request: web.Request) -> web.StreamResponse:
    """GET, HEAD /api/v1/media/media/{id}/captions/{language}: WebVTT."""
    services, language = services_of(request), request.match_info["language"]
    row = await _playable(request, represent.captions_path(request.match_info["id"], language))
    entry = find_captions(row, language)
    if entry is None:
        raise UnknownMedia(f"there are no captions in {language[:20]!r}")
    file = stored_file(row, entry)
    text = await read_text(services.depots.store(file.provider), file.key)
    return await play_text(request, file, text, f"captions.{language}.vtt", MEDIA_LIBRARY)


async def _playable(request: web.Request, path: str) -> MediaRow:
    """Raises Unauthorized, UnknownMedia, NotYourMedia, MediaDeleted, in this order."""
    services, media_id = services_of(request), request.match_info["id"]
    signature = request.query.get("sig")
    user = None
    if signature is not None:
        services.links.verify(path, signature)
    else:
        user = owner(request)
    row = await services.library.get(media_id, user)
    if row.deleted_at is not None:
        raise MediaDeleted(f"media file {media_id} is deleted; restore it first")
    return row


def _linked(links: LinkSigner, row: MediaRow, name: str, text: str) -> str:
    """With signed links where the text names files beside it."""

    def link(other: str) -> str:
        signed = links.sign(represent.file_path(row.id, other), represent.life_of(row))
        return signed.rpartition("/")[2]

    if name == "cues":
        return relinking.cues(text, link("strip"))
    if name == "hls":
        return _MASTER_LINE.sub(lambda found: link(found[1]), text)
    return relinking.playlist(text, link(f"{name}-media"))
