"""Posters, strips, cues and playlists: what the library shows of a file before and while it plays."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from signaling.links import LIFE
from signaling.rest import relinking
from signaling.rest.browsers import content_security_policy
from storage.catalog import FileRow, RecordingRow
from tests.signaling.house import House, house
from tests.signaling.stores import S3_SETTINGS, SigningStore

PLAYLIST = """#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-MAP:URI="001-camera.hls.mp4",BYTERANGE="812@0"
#EXTINF:4.000,
#EXT-X-BYTERANGE:1000@812
001-camera.hls.mp4
#EXTINF:2.500,
#EXT-X-BYTERANGE:500@1812
001-camera.hls.mp4
#EXT-X-ENDLIST
"""
CUES = """WEBVTT

00:00.000 --> 00:02.000
001-camera.strip.jpg#xywh=0,0,160,90

00:02.000 --> 00:04.000
001-camera.strip.jpg#xywh=160,0,160,90
"""
MEDIA = bytes(range(256)) * 9
HOURS = 8
BYTE_RANGE = re.compile(r"#EXT-X-BYTERANGE:(\d+)@(\d+)")


@dataclass(frozen=True, slots=True)
class Part:
    id: str
    kind: str
    role: str
    content_type: str
    content: bytes
    derived_from: str | None = "FI_ada"


ORIGINAL = Part("FI_ada", "participant", "", "video/webm", b"webm", None)
DERIVED = (
    Part("FI_poster", "thumbnail", "poster", "image/jpeg", b"a poster"),
    Part("FI_strip", "thumbnail", "strip", "image/jpeg", b"a strip"),
    Part("FI_cues", "thumbnail", "cues", "text/vtt", CUES.encode()),
    Part("FI_playlist", "hls", "playlist", "application/vnd.apple.mpegurl", PLAYLIST.encode()),
    Part("FI_media", "hls", "media", "video/mp4", MEDIA),
)


async def with_parts(
    home: House, *parts: Part, provider: str = "local", **changes: object
) -> RecordingRow:
    """A recording of the room "a" whose files these are, in this order."""
    row = await home.recorded("a", "ada", "paul", provider=provider, **changes)
    source = home.services.settings.data_dir / "part"
    files = []
    for part in parts:
        source.write_bytes(part.content)
        key = f"recordings/r/{row.id}/{part.id}"
        await home.services.depots.store(provider).put_file(key, source, part.content_type)
        files.append(_row(part, key, provider))
    return await home.services.catalog.recordings.set_files(row.id, files)


def _row(part: Part, key: str, provider: str) -> FileRow:
    return FileRow(
        id=part.id,
        kind=part.kind,
        participant_id="ada",
        content_type=part.content_type,
        size=len(part.content),
        duration_seconds=HOURS * 3600.0,
        width=None,
        height=None,
        sha256=hashlib.sha256(part.content).hexdigest(),
        key=key,
        start_seconds=0.0,
        provider=provider,
        role=part.role,
        derived_from=part.derived_from,
    )


def path_of(row: RecordingRow, file_id: str) -> str:
    return f"/api/v1/recordings/{row.id}/files/{file_id}"


# --- names become links ---------------------------------------------------------------------------


def test_a_playlist_names_the_link_instead_of_the_file() -> None:
    link = "FI_media?sig=1.\\1ab"  # a backslash must stay one
    assert relinking.playlist(PLAYLIST, link) == PLAYLIST.replace("001-camera.hls.mp4", link)


def test_a_playlist_keeps_its_lines_that_name_nothing() -> None:
    text = '#EXTM3U\n\n# a remark with URI="x" in it\n#EXT-X-ENDLIST\n'
    assert relinking.playlist(text, "link") == text


def long_playlist(count: int, gap_after: int | None = None) -> str:
    """`count` segments of 4 s and 1000 bytes, in one piece but for the gap."""
    head, _, _ = PLAYLIST.partition("#EXTINF")
    offset, blocks = 812, []
    for number in range(count):
        blocks.append(f"#EXTINF:4.000,\n#EXT-X-BYTERANGE:1000@{offset}\n001-camera.hls.mp4\n")
        offset += 1000 if number != gap_after else 1001
    return head + "".join(blocks) + "#EXT-X-ENDLIST\n"


def test_very_long_playlists_have_longer_segments_and_stay_small() -> None:
    link = "FI_AbCdEfGhIjKlMnOp?sig=1800000000." + "a" * 64
    for count in (7200, 28_800):  # eight hours with a keyframe each 4 s, and each second
        told = relinking.playlist(long_playlist(count), link)
        assert len(told) < 1_000_000
        ranges = [(int(size), int(at)) for size, at in BYTE_RANGE.findall(told)]
        assert [at for _, at in ranges] == [
            812 + sum(size for size, _ in ranges[:number]) for number in range(len(ranges))
        ]
        assert sum(size for size, _ in ranges) == 1000 * count
        seconds = [float(text) for text in re.findall(r"#EXTINF:([\d.]+),", told)]
        assert sum(seconds) == 4.0 * count
        assert f"#EXT-X-TARGETDURATION:{round(max(seconds))}\n" in told
        assert "001-camera" not in told


def test_segments_that_are_not_in_one_piece_stay_apart() -> None:
    told = relinking.playlist(long_playlist(5000, gap_after=2), "link")
    ranges = [(int(size), int(at)) for size, at in BYTE_RANGE.findall(told)]
    assert ranges[:4] == [(2000, 812), (1000, 2812), (1000, 3813), (2000, 4813)]


def test_playlists_that_are_not_so_long_keep_their_segments() -> None:
    text = long_playlist(relinking.MOST_SEGMENTS)
    assert relinking.playlist(text, "001-camera.hls.mp4") == text
    odd = long_playlist(5000).replace("#EXTINF:4.000,\n", "#EXT-X-GAP\n#EXTINF:4.000,\n", 2)
    assert relinking.playlist(odd, "001-camera.hls.mp4") == odd


def test_cues_name_the_link_instead_of_the_picture() -> None:
    link = "FI_strip?sig=1.ab"
    assert relinking.cues(CUES, link) == CUES.replace("001-camera.strip.jpg", link)


def test_cues_keep_other_lines() -> None:
    text = "WEBVTT\n\nNOTE see #xywh=0,0,1,1\n\n1\n00:00.000 --> 00:01.000 align:start\nwords\n"
    assert relinking.cues(text, "link") == text


# --- how they are told ----------------------------------------------------------------------------


async def test_originals_come_first_and_know_what_was_made_of_them(home: House) -> None:
    row = await with_parts(home, *DERIVED, ORIGINAL)
    data = (await home.get(f"/api/v1/recordings/{row.id}", home.host("a"))).data
    first, *others = data["files"]
    urls = {file["role"]: file["url"] for file in others}
    assert (first["id"], first["role"], first["derivedFrom"]) == ("FI_ada", "", None)
    assert data["url"] == first["url"]
    assert data["key"] == row.files[-1].key
    assert {name: first[name] for name in ("poster", "strip", "cues", "hls")} == {
        "poster": urls["poster"],
        "strip": urls["strip"],
        "cues": urls["cues"],
        "hls": urls["playlist"],
    }
    assert [file["id"] for file in others] == [part.id for part in DERIVED]
    assert {file["derivedFrom"] for file in others} == {"FI_ada"}
    assert all(file["poster"] is None and file["hls"] is None for file in others)


async def test_a_file_without_pictures_has_none(home: House) -> None:
    other = replace(ORIGINAL, id="FI_paul")
    row = await with_parts(home, other, ORIGINAL, *DERIVED)
    first, *_ = (await home.get(f"/api/v1/recordings/{row.id}", home.host("a"))).data["files"]
    assert [first[name] for name in ("id", "poster", "strip", "cues", "hls")] == [
        "FI_paul",
        *(None, None, None, None),
    ]


async def test_the_composite_stands_for_a_recording_that_was_to_be_one(home: House) -> None:
    whole = replace(ORIGINAL, id="FI_whole", kind="composite", content_type="video/mp4")
    for mode, wanted in (("composite", "FI_whole"), ("tracks", "FI_ada")):
        row = await with_parts(home, ORIGINAL, whole, mode=mode)
        data = (await home.get(f"/api/v1/recordings/{row.id}", home.host("a"))).data
        assert urlsplit(data["url"]).path == path_of(row, wanted)
        await home.services.catalog.recordings.set_files(row.id, [])


async def test_renders_are_told_with_the_recording(home: House) -> None:
    row = await with_parts(home, ORIGINAL)
    render = await home.services.catalog.renders.create(row.id, {"layout": "grid"}, "hanna")
    data = (await home.get(f"/api/v1/recordings/{row.id}", home.host("a"))).data
    (told,) = data["renders"]
    assert (told["id"], told["recordingId"], told["status"]) == (render.id, row.id, "queued")
    assert (told["progress"], told["options"]) == (0, {"layout": "grid"})
    assert (told["error"], told["fileId"], told["finishedAt"]) == (None, None, None)
    assert "renders" not in (await home.get("/api/v1/recordings", home.host("a"))).data["items"][0]


# --- how they are served --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file_id", "named", "content_type"),
    [
        ("FI_playlist", "FI_media", "application/vnd.apple.mpegurl"),
        ("FI_cues", "FI_strip", "text/vtt"),
    ],
)
async def test_the_names_in_it_open_without_a_token(
    home: House, file_id: str, named: str, content_type: str
) -> None:
    row = await with_parts(home, ORIGINAL, *DERIVED)
    answer = await home.get(path_of(row, file_id), home.host("a"))
    assert answer.status == 200
    assert answer.headers["Content-Type"] == f"{content_type}; charset=utf-8"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    text = answer.body.decode()
    assert "001-camera" not in text
    links = {word.split("#")[0] for word in text.replace('"', "\n").split() if "sig=" in word}
    (link,) = links
    address = urljoin(path_of(row, file_id), link)
    assert urlsplit(address).path == path_of(row, named)
    found = await home.get(address, headers={"Range": "bytes=0-3"})
    content = next(part.content for part in DERIVED if part.id == named)
    assert (found.status, found.body) == (206, content[:4])


async def test_the_media_s_link_lasts_as_long_as_it_plays(home: House) -> None:
    row = await with_parts(home, ORIGINAL, *DERIVED)
    text = (await home.get(path_of(row, "FI_playlist"), home.host("a"))).body.decode()
    expires = int(text.partition("?sig=")[2].partition(".")[0])
    short = home.services.links.sign("/x", timedelta(0))
    now = int(short.partition("?sig=")[2].partition(".")[0])
    assert 0 <= now + LIFE.total_seconds() + HOURS * 3600 - expires <= 60


async def test_whoever_has_a_signed_link_to_the_playlist_gets_it_too(home: House) -> None:
    row = await with_parts(home, ORIGINAL, *DERIVED)
    data = (await home.get(f"/api/v1/recordings/{row.id}", home.host("a"))).data
    answer = await home.get(data["files"][0]["hls"])
    assert (answer.status, answer.body[:7]) == (200, b"#EXTM3U")
    assert b"FI_media?sig=" in answer.body


async def test_attack_a_playlist_s_link_opens_the_media_of_no_other(home: House) -> None:
    one = await with_parts(home, ORIGINAL, *DERIVED)
    others = [
        replace(part, id=part.id + "2", derived_from=part.derived_from and "FI_ada2")
        for part in (ORIGINAL, *DERIVED)
    ]
    two = await with_parts(home, *others)
    text = (await home.get(path_of(one, "FI_playlist"), home.host("a"))).body.decode()
    sig = text.partition("?sig=")[2].partition('"')[0]
    assert (await home.get(f"{path_of(one, 'FI_media')}?sig={sig}")).status == 200
    assert (await home.get(f"{path_of(two, 'FI_media2')}?sig={sig}")).code == "link_invalid"
    assert (await home.get(f"{path_of(one, 'FI_ada')}?sig={sig}")).code == "link_invalid"


async def test_attack_a_playlist_without_a_token(home: House) -> None:
    row = await with_parts(home, ORIGINAL, *DERIVED)
    assert (await home.get(path_of(row, "FI_playlist"))).status == 401
    stranger = home.participant("a", "eve")
    assert (await home.get(path_of(row, "FI_playlist"), stranger)).status == 403


async def test_a_playlist_whose_media_is_gone_is_as_it_was_stored(home: House) -> None:
    row = await with_parts(home, ORIGINAL, DERIVED[3])
    answer = await home.get(path_of(row, "FI_playlist"), home.host("a"))
    assert (answer.status, answer.body.decode()) == (200, PLAYLIST)


async def test_texts_of_more_than_two_megabytes_are_sent_as_they_are(home: House) -> None:
    huge = replace(DERIVED[3], content=PLAYLIST.encode() + b"#" * relinking.LARGEST_TEXT)
    row = await with_parts(home, ORIGINAL, huge, DERIVED[4])
    answer = await home.get(path_of(row, "FI_playlist"), home.host("a"))
    assert (answer.status, answer.body) == (200, huge.content)


async def test_a_playlist_is_compressed_for_who_can_read_that(home: House) -> None:
    row = await with_parts(home, ORIGINAL, *DERIVED)
    path, token = path_of(row, "FI_playlist"), home.host("a")
    head = await home.request("HEAD", path, token, headers={"Accept-Encoding": "identity"})
    assert (head.status, head.body) == (200, b"")
    plain = await home.get(path, token, headers={"Accept-Encoding": "identity"})
    assert head.headers["Content-Length"] == str(len(plain.body))
    packed = await home.get(path, token, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"


# --- with a bucket --------------------------------------------------------------------------------


@pytest.fixture
async def far(tmp_path: Path) -> AsyncIterator[House]:
    settings: Mapping[str, str] = {**S3_SETTINGS, "recording_playback": "redirect"}
    async with house(tmp_path, {"s3": SigningStore()}, **settings) as opened:
        yield opened


async def test_texts_come_from_here_though_the_bucket_has_them(far: House) -> None:
    row = await with_parts(far, ORIGINAL, *DERIVED, provider="s3")
    for file_id in ("FI_playlist", "FI_cues"):
        answer = await far.get(path_of(row, file_id), far.host("a"), allow_redirects=False)
        assert answer.status == 200
        assert b"sig=" in answer.body
    for file_id in ("FI_media", "FI_poster", "FI_ada"):
        answer = await far.get(path_of(row, file_id), far.host("a"), allow_redirects=False)
        assert answer.status == 302


def test_pages_may_load_pictures_and_segments_from_the_bucket() -> None:
    policy = dict(
        part.split(" ", 1) for part in content_security_policy(("https://bucket.test",)).split("; ")
    )
    for directive in ("media-src", "img-src", "connect-src"):
        assert "https://bucket.test" in policy[directive].split()
    assert "https://bucket.test" not in policy["default-src"]
    assert "https://bucket.test" not in policy["form-action"]


def test_pages_may_send_files_to_the_bucket_and_load_nothing_from_there() -> None:
    policy = dict(
        part.split(" ", 1)
        for part in content_security_policy((), ("https://bucket.test",)).split("; ")
    )
    allowed = {name for name, sources in policy.items() if "https://bucket.test" in sources}
    assert allowed == {"connect-src", "form-action"}
