"""How recordings reach browsers: links to a CDN, links to a bucket, or through this server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from recorder.depots import Depots
from signaling.playback import Cdn, Playback
from signaling.settings import load_settings
from signaling.traffic import month_of
from storage.catalog import FileRow, RecordingRow
from storage.errors import StoreMisconfigured
from storage.objects import LocalStore, ObjectStore
from tests.signaling.house import House, file_path, house
from tests.signaling.stores import S3_SETTINGS, FarStore, SigningStore

NOW = 1_800_000_000.5
HOURS = 2 * 3600
KEY = "recordings/B%C3%BCro/RC_1/FI_1.webm"  # percent signs are part of the key
QUOTED = "recordings/B%25C3%25BCro/RC_1/FI_1.webm"
SECRET = "hunter2-and-a-few-more"


def cdn(signing: str, url: str = "https://media.example.com", now: float = NOW) -> Cdn:
    return Cdn(url, signing, SECRET, clock=lambda: now)  # type: ignore[arg-type]


# --- links to a CDN -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "key", "link"),
    [
        ("https://media.example.com", KEY, f"https://media.example.com/{QUOTED}"),
        ("https://example.com/m/v1", "a/b.webm", "https://example.com/m/v1/a/b.webm"),
        ("http://localhost:8080", "ü/ß 1.webm", "http://localhost:8080/%C3%BC/%C3%9F%201.webm"),
        ("https://cdn", "a?b#c&d=e+f.webm", "https://cdn/a%3Fb%23c%26d%3De%2Bf.webm"),
    ],
)
def test_a_plain_link_is_the_address_and_the_quoted_key(url: str, key: str, link: str) -> None:
    assert Cdn(url).link(key) == link
    assert unquote(urlsplit(link).path).endswith(key)


def test_bunny_as_in_its_own_examples() -> None:
    """The vector "plain" that Bunny publishes with its own signers."""
    there = Cdn(
        "https://token-tester.b-cdn.net", "bunny", "SecurityKey", clock=lambda: 1598024587 - HOURS
    )
    assert there.link("300kb.jpg") == (
        "https://token-tester.b-cdn.net/300kb.jpg"
        "?token=HS256-o10JRWlsAItyAsdKS6jJKjabHN4FrFsplDHPV1idcX4&expires=1598024587"
    )


@pytest.mark.parametrize(
    ("url", "key", "path"),
    [
        ("https://zone.b-cdn.net", KEY, f"/{QUOTED}"),
        ("https://zone.b-cdn.net/below/here", "ü.webm", "/below/here/%C3%BC.webm"),
    ],
)
def test_bunny_signs_the_path_as_it_is_asked_for_and_the_end(url: str, key: str, path: str) -> None:
    link = urlsplit(cdn("bunny", url).link(key))
    assert f"{link.scheme}://{link.netloc}{link.path}" == f"https://zone.b-cdn.net{path}"
    expires = str(int(NOW) + HOURS)
    mac = hmac.new(SECRET.encode(), (path + expires).encode(), hashlib.sha256).digest()
    token = base64.b64encode(mac).decode().translate({43: "-", 47: "_", 61: None})
    assert link.query == f"token=HS256-{token}&expires={expires}"


def is_timed_hmac_valid(key: str, uri: str, now: float, life: int = HOURS) -> bool:
    """Cloudflare's function, from its documentation: message, separator, time, "-", MAC."""
    found = re.fullmatch(r"(.*)\?verify=(\d{10})-(.*)", uri)
    if found is None:
        return False
    message, issued, mac = found.groups()
    expected = hmac.new(key.encode(), (message + issued).encode(), hashlib.sha256).digest()
    fresh = int(issued) <= now < int(issued) + life
    return fresh and unquote(mac) == base64.b64encode(expected).decode()


@pytest.mark.parametrize("url", ["https://media.example.com", "https://example.com/m/v1"])
@pytest.mark.parametrize("key", [KEY, "ü/ß 1.webm"])
def test_cloudflare_finds_its_links_valid_for_two_hours(url: str, key: str) -> None:
    link = cdn("cloudflare", url).link(key)
    uri = link.removeprefix(f"https://{urlsplit(url).netloc}")
    assert is_timed_hmac_valid(SECRET, uri, NOW)
    assert is_timed_hmac_valid(SECRET, uri, NOW + HOURS - 1)
    assert not is_timed_hmac_valid(SECRET, uri, NOW + HOURS)
    assert not is_timed_hmac_valid("another key", uri, NOW)
    assert "+" not in uri
    assert "/" not in urlsplit(uri).query


@pytest.mark.parametrize("signing", ["bunny", "cloudflare"])
def test_attack_a_link_for_another_object_or_a_longer_time(signing: str) -> None:
    one, other, later = [
        cdn(signing, now=now).link(key) for key, now in (("a", NOW), ("b", NOW), ("a", NOW + 1))
    ]
    signatures = {urlsplit(link).query for link in (one, other, later)}
    assert len(signatures) == 3
    assert SECRET not in one


# --- which way ----------------------------------------------------------------------------------------


def a_file(provider: str = "s3") -> FileRow:
    return FileRow(
        id="FI_1",
        kind="participant",
        participant_id="ada",
        content_type="video/webm",
        size=1,
        duration_seconds=1.0,
        width=None,
        height=None,
        sha256="ab",
        key="recordings/r/RC_1/FI_1.webm",
        start_seconds=0.0,
        provider=provider,
    )


def playback(
    tmp_path: Path, stores: Mapping[str, ObjectStore], main: str = "s3", **flags: str
) -> Playback:
    settings = load_settings({"data_dir": str(tmp_path), **flags}, env_file=None)
    return Playback(settings, Depots(stores, main, "local"))


@pytest.mark.parametrize("download", [False, True])
async def test_a_bucket_signs_a_link_for_two_hours(tmp_path: Path, download: bool) -> None:
    bucket = SigningStore()
    player = playback(tmp_path, {"s3": bucket})
    link = await player.link(a_file(), "Büro.webm", download=download)
    assert link == "https://bucket.example/recordings/r/RC_1/FI_1.webm?signature=1"
    assert bucket.asked == {
        "life": timedelta(hours=2),
        "file_name": "Büro.webm",
        "content_type": "video/webm",
        "download": download,
    }


@pytest.mark.parametrize("store", [LocalStore(Path("/nowhere")), FarStore()])
async def test_what_signs_nothing_goes_through_this_server(
    tmp_path: Path, store: ObjectStore
) -> None:
    assert await playback(tmp_path, {"s3": store}).link(a_file(), "x", download=False) is None


@pytest.mark.parametrize("download", [False, True])
async def test_proxy_keeps_browsers_away_from_the_bucket(tmp_path: Path, download: bool) -> None:
    player = playback(tmp_path, {"s3": SigningStore()}, recording_playback="proxy")
    assert await player.link(a_file(), "x", download=download) is None


@pytest.mark.parametrize("way", ["redirect", "proxy"])
@pytest.mark.parametrize("store", [SigningStore(), FarStore()])
async def test_a_cdn_is_in_front_of_the_main_store(
    tmp_path: Path, way: str, store: ObjectStore
) -> None:
    player = playback(
        tmp_path, {"s3": store}, cdn_url="https://media.example.com/v1", recording_playback=way
    )
    link = await player.link(a_file(), "x", download=False)
    assert link == "https://media.example.com/v1/recordings/r/RC_1/FI_1.webm"


async def test_the_cdn_is_signed_as_the_settings_say(tmp_path: Path) -> None:
    player = playback(
        tmp_path,
        {"s3": SigningStore()},
        cdn_url="https://media.example.com",
        cdn_signing="bunny",
        cdn_signing_key=SECRET,
    )
    link = await player.link(a_file(), "x", download=False)
    assert set(parse_qs(urlsplit(link or "").query)) == {"token", "expires"}


@pytest.mark.parametrize(
    ("way", "store", "goes_to"),
    [
        ("redirect", SigningStore(), "bucket.example"),
        ("redirect", FarStore(), None),
        ("proxy", SigningStore(), None),
    ],
)
async def test_downloads_pass_the_cdn_by(
    tmp_path: Path, way: str, store: ObjectStore, goes_to: str | None
) -> None:
    """A CDN can't be told what a file is called."""
    player = playback(
        tmp_path, {"s3": store}, cdn_url="https://media.example.com", recording_playback=way
    )
    link = await player.link(a_file(), "x", download=True)
    assert (urlsplit(link).netloc if link else None) == goes_to


async def test_the_cdn_has_nothing_of_what_is_elsewhere(tmp_path: Path) -> None:
    stores = {"s3": FarStore(), "local": FarStore(), "b2": SigningStore()}
    player = playback(tmp_path, stores, cdn_url="https://media.example.com")
    assert await player.link(a_file("local"), "x", download=False) is None
    older = await player.link(a_file("b2"), "x", download=False)
    assert urlsplit(older or "").netloc == "bucket.example"


async def test_a_provider_whose_settings_are_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreMisconfigured, match="gcs"):
        await playback(tmp_path, {"s3": FarStore()}).link(a_file("gcs"), "x", download=False)


# --- over REST ----------------------------------------------------------------------------------------


async def a_recording(home: House) -> RecordingRow:
    return await home.recorded("Büro", "ada", content=b"media", provider="s3")


async def test_a_redirect_that_nobody_keeps(tmp_path: Path) -> None:
    bucket = SigningStore()
    async with house(tmp_path, {"s3": bucket}, **S3_SETTINGS) as home:
        row = await a_recording(home)
        url = (await home.get(f"/api/v1/recordings/{row.id}", home.host("Büro"))).data["url"]
        for path, token in ((url, None), (file_path(row), home.host("Büro"))):
            answer = await home.request("GET", path, token, allow_redirects=False)
            assert (answer.status, answer.body) == (302, b"")
            assert answer.headers["Location"].startswith("https://bucket.example/recordings/r/")
            assert answer.headers["Cache-Control"] == "no-store"
        assert bucket.asked["file_name"] == "Büro-2026-08-01_09-30-ada.webm"
        assert not bucket.asked["download"]
        await home.request("GET", f"{url}&download=1", allow_redirects=False)
        assert bucket.asked["download"]
        assert bucket.opened == 0
        await home.services.traffic.flush()
        assert await home.services.catalog.usage.traffic(month_of(datetime.now(UTC))) == ()


async def test_head_is_answered_from_here(tmp_path: Path) -> None:
    """A link is signed for GET only."""
    bucket = SigningStore()
    async with house(tmp_path, {"s3": bucket}, **S3_SETTINGS) as home:
        row = await a_recording(home)
        answer = await home.request(
            "HEAD", file_path(row), home.host("Büro"), allow_redirects=False
        )
        assert (answer.status, answer.headers["Content-Length"]) == (200, "5")
        assert "Location" not in answer.headers
        assert bucket.asked == {}


async def test_attack_a_link_without_the_right_to_look(tmp_path: Path) -> None:
    bucket = SigningStore()
    async with house(tmp_path, {"s3": bucket}, **S3_SETTINGS) as home:
        row = await a_recording(home)
        for token, status in ((None, 401), (home.host("another"), 403)):
            answer = await home.request("GET", file_path(row), token, allow_redirects=False)
            assert answer.status == status
            assert "Location" not in answer.headers
        assert bucket.asked == {}


async def test_a_store_that_can_not_sign_now(tmp_path: Path) -> None:
    bucket = SigningStore()
    async with house(tmp_path, {"s3": bucket}, **S3_SETTINGS) as home:
        row = await a_recording(home)
        bucket.down = True
        answer = await home.get(file_path(row), home.host("Büro"), allow_redirects=False)
        assert (answer.status, answer.code) == (503, "store_unavailable")


async def test_amazons_own_links(tmp_path: Path) -> None:
    """Signed by the real store, without asking anybody."""
    settings = {
        **S3_SETTINGS,
        "recording_s3_region": "eu-central-1",
        "recording_s3_access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "recording_s3_secret_access_key": SECRET,
    }
    async with house(tmp_path, **settings) as home:
        row = await home.recorded("Büro", "ada")
        row = await home.services.catalog.recordings.set_files(
            row.id, [replace(row.files[0], provider="s3")]
        )
        answer = await home.get(file_path(row), home.host("Büro"), allow_redirects=False)
        link = urlsplit(answer.headers["Location"])
        assert link.netloc == "bucket.s3.eu-central-1.amazonaws.com"
        assert unquote(link.path) == f"/{row.files[0].key}"
        query = parse_qs(link.query)
        assert query["X-Amz-Expires"] == [str(HOURS)]
        assert query["response-content-type"] == ["video/webm"]
        assert "B%C3%BCro-2026" in query["response-content-disposition"][0]
        assert SECRET not in answer.headers["Location"]
        await home.services.depots.close()


async def test_our_pages_may_play_from_where_they_are_sent(tmp_path: Path) -> None:
    settings = {
        **S3_SETTINGS,
        "cdn_url": "https://media.example.com/v1",
        "recording_s3_endpoint": "https://minio.example.com:9000",
    }
    async with house(tmp_path, {"s3": SigningStore()}, **settings) as home:
        policy = (await home.get("/")).headers["Content-Security-Policy"]
        (media,) = [part for part in policy.split("; ") if part.startswith("media-src")]
        assert media == (
            "media-src 'self' blob: mediastream:"
            " https://media.example.com https://minio.example.com:9000"
        )
        assert policy.startswith("default-src 'self'; ")


async def test_without_a_bucket_our_pages_play_from_here_only(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        policy = (await home.get("/")).headers["Content-Security-Policy"]
        assert "media-src 'self' blob: mediastream:;" in policy
