"""The media library over HTTP: a user's own files, and nobody else's."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from storage.catalog import MediaRow, new_media_id
from storage.errors import CatalogUnavailable
from tests.recorder.media.films import film
from tests.recorder.media.shelf import arrived
from tests.signaling.house import House

MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
VTT = b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n"


@pytest.fixture(scope="session")
def a_film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("film")
    return film(folder / "f.mp4", seconds=1.0).read_bytes()


def user(home: House, identity: str = "ursula") -> str:
    return home.participant("any room", identity)


async def bring(
    home: House, data: bytes, name: str = "talk.mp4", identity: str = "ursula"
) -> MediaRow:
    """A file that came in, with its pictures made."""
    media_id = new_media_id()
    key = f"media/{media_id}/original.mp4"

    async def blocks() -> AsyncIterator[bytes]:
        yield data

    await home.services.depots.store("local").put_stream(key, blocks(), "video/mp4")
    upload = arrived(media_id, key, name, identity, len(data), provider="local")
    row = await home.services.library.admit(upload)
    await home.services.library.idle()
    return row


def path_of(row: MediaRow) -> str:
    return f"/api/v1/media/media/{row.id}"


@pytest.fixture
async def film_at_home(home: House, a_film: bytes) -> AsyncIterator[MediaRow]:
    yield await bring(home, a_film)
    await home.services.library.close()


async def test_a_media_file_as_the_contract_has_it(
    home: House, film_at_home: MediaRow, a_film: bytes
) -> None:
    told = (await home.get(path_of(film_at_home), user(home))).data
    assert {
        "id", "userId", "filename", "contentType", "fileType", "size", "status", "provider",
        "storageKey", "url", "cdnUrl", "durationSeconds", "width", "height", "videoCodec",
        "audioCodec", "bitrate", "frameRate", "quality", "hasCaptions", "captionLanguages",
        "thumbnailUrl", "renditions", "sha256", "createdAt", "deletedAt",
    } <= told.keys()  # fmt: skip
    assert (told["userId"], told["filename"], told["size"]) == ("ursula", "talk.mp4", len(a_film))
    assert (told["width"], told["height"], told["quality"]) == (640, 360, "360p")
    assert told["cdnUrl"] is None

    played = await home.get(told["url"])  # a signed link needs no token
    assert (played.status, played.body) == (200, a_film)
    assert played.headers["Content-Type"] == "video/mp4"
    part = await home.get(told["url"], headers={"Range": "bytes=4-7"})
    assert (part.status, part.body) == (206, b"ftyp")
    saved = await home.get(told["url"] + "&download=1")
    assert "attachment" in saved.headers["Content-Disposition"]
    assert "talk.mp4" in saved.headers["Content-Disposition"]
    poster = await home.get(told["thumbnailUrl"])
    assert (poster.status, poster.headers["Content-Type"]) == (200, "image/jpeg")
    assert poster.body.startswith(b"\xff\xd8")
    cues = await home.get(told["cues"])
    picture = re.search(r"^(strip\?sig=\S+)#xywh=", cues.body.decode(), re.MULTILINE)
    assert picture is not None
    strip = await home.get(f"{path_of(film_at_home)}/files/{picture[1]}")
    assert strip.body.startswith(b"\xff\xd8")


async def test_renditions_and_a_stream(home: House, film_at_home: MediaRow) -> None:
    path, token = path_of(film_at_home), user(home)
    asked = await home.post(f"{path}/process", token, json={"renditions": ["240p", "hls"]})
    assert asked.status == 202
    assert [each["status"] for each in asked.data["renditions"]] == ["queued", "queued"]
    async with asyncio.timeout(120):
        await home.services.library.idle()
    small, ladder = (await home.get(path, token)).data["renditions"]
    assert (small["status"], small["progress"], small["width"]) == ("done", 1.0, 426)
    assert all(re.fullmatch(MOMENT, small[name]) for name in ("requestedAt", "finishedAt"))
    assert (await home.get(small["url"])).headers["Content-Type"] == "video/mp4"

    master = await home.get(ladder["url"])
    assert master.headers["Content-Type"].startswith("application/vnd.apple.mpegurl")
    lines = [line for line in master.body.decode().splitlines() if not line.startswith("#")]
    assert len(lines) == 2
    playlist = await home.get(f"{path}/files/{lines[0]}")  # relative to where the master is
    media = re.search(r'MAP:URI="([^"]+)"', playlist.body.decode())
    assert media is not None
    piece = await home.get(f"{path}/files/{media[1]}", headers={"Range": "bytes=0-7"})
    assert (piece.status, piece.body[4:]) == (206, b"ftyp")

    gone = await home.request("DELETE", f"{path}/renditions/240p", token)
    assert gone.data["renditions"][0]["url"] is None
    assert (await home.get(small["url"])).status == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"renditions": ["8k"]}, "bad_rendition"),
        ({"renditions": ["1080p"]}, "bad_rendition"),
        ({"renditions": "720p"}, "invalid_request"),
    ],
)
async def test_a_rendition_that_cannot_be(
    home: House, film_at_home: MediaRow, body: dict[str, Any], code: str
) -> None:
    answer = await home.post(f"{path_of(film_at_home)}/process", user(home), json=body)
    assert (answer.status, answer.code) == (400, code)


# --- whose it is ----------------------------------------------------------------------------------

ROUTES = [
    ("GET", "", None),
    ("PATCH", "", {"filename": "mine.mp4"}),
    ("DELETE", "", None),
    ("POST", "/restore", None),
    ("POST", "/process", {"renditions": ["240p"]}),
    ("DELETE", "/renditions/240p", None),
    ("POST", "/attach-video", {"courseId": "c"}),
    ("DELETE", "/attach-video?courseId=c", None),
    ("POST", "/views", {"seconds": 3}),
    ("GET", "/captions/de", None),
    ("DELETE", "/captions/de", None),
    ("GET", "/file", None),
    ("GET", "/files/poster", None),
]


@pytest.mark.parametrize(("method", "place", "body"), ROUTES)
async def test_nobody_reaches_anothers_file(
    home: House, method: str, place: str, body: Any
) -> None:
    row = await _entered(home)
    for token in (user(home, "mallory"), home.host("any room", "mallory")):
        answer = await home.request(method, path_of(row) + place, token, json=body)
        assert (answer.status, answer.code) == (403, "not_your_media")
    answer = await home.request(method, path_of(row) + place, None, json=body)
    assert answer.status == 401
    unknown = "/api/v1/media/media/MF_unknown" + place
    answer = await home.request(method, unknown, user(home), json=body)
    assert (answer.status, answer.code) == (404, "media_not_found")
    assert await home.services.catalog.media.get(row.id) == row


async def test_captions_of_another_user_are_not_put(home: House) -> None:
    row = await _entered(home)
    place = path_of(row) + "/captions/de"
    answer = await home.request("PUT", place, user(home, "mallory"), data=VTT)
    assert (answer.status, answer.code) == (403, "not_your_media")


async def test_a_list_has_ones_own_files_only(home: House) -> None:
    for identity in ("ursula", "ursula", "otto"):
        await _entered(home, identity)
    mine = (await home.get("/api/v1/media/user/media", user(home))).data
    assert (mine["total"], {each["userId"] for each in mine["items"]}) == (2, {"ursula"})
    other = await home.get("/api/v1/media/user/media?userId=otto", user(home))
    assert {each["userId"] for each in other.data["items"]} == {"ursula"}
    all_of_them = await home.get("/api/v1/media/user/media", home.server())
    assert all_of_them.data["total"] == 3
    ottos = await home.get("/api/v1/media/user/media?userId=otto", home.server())
    assert ottos.data["total"] == 1
    nobodys = await home.get("/api/v1/media/user/media?userId=", home.server())
    assert nobodys.status == 400  # a back end that forgot whose


async def test_a_server_may_do_everything(home: House) -> None:
    row = await _entered(home)
    told = await home.request("PATCH", path_of(row), home.server(), json={"tags": ["a", "b", "a"]})
    assert told.data["tags"] == ["a", "b"]


async def test_a_signed_link_is_for_that_path_only(home: House) -> None:
    one, other = await _entered(home), await _entered(home)
    url = (await home.get(path_of(one), user(home))).data["url"]
    signature = url.partition("?")[2]
    for path in (
        f"{path_of(other)}/file?{signature}",
        f"{path_of(one)}/files/poster?{signature}",
        f"{path_of(one)}/captions/de?{signature}",
    ):
        answer = await home.get(path)
        assert (answer.status, answer.code) == (401, "link_invalid")
    answer = await home.get(f"{path_of(one)}?{signature}")  # nor the description
    assert answer.status == 401


# --- describing, filtering, counting --------------------------------------------------------------


async def test_filters_and_pages(home: House) -> None:
    await _entered(home, filename="Algebra 1.mp4", tags=["maths"])
    await _entered(home, filename="algebra 2.mp4", tags=["maths", "old"])
    await _entered(home, filename="Song.mp3", file_type="audio", status="failed")

    async def names(query: str) -> list[str]:
        found = await home.get(f"/api/v1/media/user/media?{query}", user(home))
        return sorted(each["filename"] for each in found.data["items"])

    assert await names("q=ALGEBRA") == ["Algebra 1.mp4", "algebra 2.mp4"]
    assert await names("tag=old") == ["algebra 2.mp4"]
    assert await names("type=audio") == await names("status=failed") == ["Song.mp3"]
    assert await names("limit=1&page=3&sort=name") == ["Song.mp3"]
    assert await names("deleted=true") == []
    assert len(await names("type=&q=&tag=&status=&sort=&page=&limit=")) == 3  # an empty form
    for wrong in ("type=text", "page=0", "limit=1000", "sort=luck"):
        answer = await home.get(f"/api/v1/media/user/media?{wrong}", user(home))
        assert (answer.status, answer.code) == (400, "invalid_request")


async def test_views_and_seconds_are_counted(home: House) -> None:
    row = await _entered(home)
    for body in ({"seconds": 10.5}, {"seconds": 2, "continued": True}):
        assert (await home.post(f"{path_of(row)}/views", user(home), json=body)).status == 200
    told = (await home.get(path_of(row), user(home))).data
    assert (told["views"], told["secondsWatched"]) == (1, 12.5)
    link = told["url"].partition("?")[2]  # whoever may watch it counts too
    assert (await home.post(f"{path_of(row)}/views?{link}", json={"seconds": 1})).status == 200
    for seconds in (-1, 1e9, "x"):
        answer = await home.post(f"{path_of(row)}/views", user(home), json={"seconds": seconds})
        assert answer.status == 400


async def test_a_report_that_is_sent_again_is_counted_once(home: House) -> None:
    row = await _entered(home)
    place, token = f"{path_of(row)}/views", user(home)
    played, failures = home.services.catalog.media.played, [CatalogUnavailable("locked")]

    async def play(*words: Any, **more: Any) -> None:
        if failures:
            raise failures.pop()
        await played(*words, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(home.services.catalog.media, "played", play)
        report = {"seconds": 30, "reportId": "r1"}
        statuses = [(await home.post(place, token, json=report)).status for _ in range(3)]
        assert statuses == [503, 200, 200]
    await home.post(place, token, json={**report, "reportId": "r2", "continued": True})
    other = await _entered(home)  # ids are a player's own
    await home.post(f"{path_of(other)}/views", token, json=report)
    for each, expected in ((row, (1, 60)), (other, (1, 30))):
        told = (await home.get(path_of(each), token)).data
        assert (told["views"], told["secondsWatched"]) == expected
    await home.request("DELETE", path_of(row), token)
    refused = await home.post(place, token, json={"seconds": 1})
    assert (refused.status, refused.code) == (410, "media_deleted")


async def test_a_name_is_held_to_the_same_rules_as_that_of_an_upload(home: House) -> None:
    row, token = await _entered(home), user(home)
    told = await home.request("PATCH", path_of(row), token, json={"filename": "../../x/neu.mp4"})
    assert told.data["filename"] == "neu.mp4"
    for name in ("/", "..\\", "a\u0007.mp4", "a" * 256):
        refused = await home.request("PATCH", path_of(row), token, json={"filename": name})
        assert (refused.status, refused.code) == (400, "bad_filename")


async def test_attached_to_a_video_of_a_course_and_from_it(home: House) -> None:
    row, token = await _entered(home), user(home)
    place = f"{path_of(row)}/attach-video"
    for _ in range(2):
        told = await home.post(place, token, json={"courseId": "c1", "videoId": "v1"})
    assert told.data["attachments"] == [{"courseId": "c1", "videoId": "v1"}]
    told = await home.request("DELETE", f"{place}?courseId=c1&videoId=v1", token)
    assert told.data["attachments"] == []
    assert (await home.post(place, token, json={})).status == 400


async def test_attack_tags_and_attachments_without_end(home: House) -> None:
    """A few at a time: all of them are in the row, and in every answer."""
    row, token = await _entered(home), user(home)
    for turn in range(2):
        tags = [f"{turn}-{number}" for number in range(30)]
        body = {"ids": [row.id], "action": "tag", "tags": tags}
        (result,) = (await home.post("/api/v1/media/batch", token, json=body)).data["results"]
        assert result["success"] is (turn == 0)
    assert (result["error"]["code"], result["error"]["status"]) == ("too_many_entries", 409)
    assert result["error"]["details"] == {"limit": 50}
    attached = [{"courseId": f"{number}"} for number in range(200)]
    row = await _entered(home, attachments=attached)
    refused = await home.post(f"{path_of(row)}/attach-video", token, json={"courseId": "one more"})
    assert (refused.status, refused.code) == (409, "too_many_entries")
    again = await home.post(f"{path_of(row)}/attach-video", token, json={"courseId": "7"})
    assert len(again.data["attachments"]) == 200


async def test_attack_a_film_that_is_saved_as_a_program(
    home: House, film_at_home: MediaRow
) -> None:
    """Whoever is given the link gets it from our origin."""
    path, token = path_of(film_at_home), user(home)
    for name in ("bill.html", "setup.exe", "a.mp4.hta", "talk.mp4", "talk"):
        told = await home.request("PATCH", path, token, json={"filename": name})
        answer = await home.get(told.data["url"] + "&download=1")
        saved = answer.headers["Content-Disposition"]
        assert re.search(r'filename="[^"]+\.mp4"', saved), saved


async def test_attack_all_files_looked_into_again(home: House) -> None:
    """Others' files wait for as long."""
    ids = [(await _entered(home)).id for _ in range(25)]
    for media_id in ids[:20]:
        await home.services.catalog.media.update(media_id, status="processing")
    body = {"ids": ids[20:], "action": "process"}
    answer = await home.post("/api/v1/media/batch", user(home), json=body)
    assert answer.data["succeeded"] == 0
    assert {each["error"]["code"] for each in answer.data["results"]} == {"too_many_renditions"}


async def test_captions(home: House) -> None:
    row, token = await _entered(home), user(home)
    place = f"{path_of(row)}/captions/pt-BR"
    told = (await home.request("PUT", f"{place}?label=Brasil", token, data=VTT)).data
    assert (told["hasCaptions"], told["captionLanguages"]) == (True, ["pt-BR"])
    (captions,) = told["captions"]
    assert (captions["label"], captions["cues"]) == ("Brasil", 1)
    served = await home.get(captions["url"])
    assert served.headers["Content-Type"] == "text/vtt; charset=utf-8"
    assert served.body == VTT
    wrong = await home.request("PUT", place, token, data=b"1\n00:00:01,000 --> x")
    assert (wrong.status, wrong.code) == (400, "bad_captions")
    again = (await home.request("PUT", f"{path_of(row)}/captions/PT-br", token, data=VTT)).data
    assert again["captionLanguages"] == ["pt-BR"]  # case says nothing
    assert (await home.get(f"{path_of(row)}/captions/Pt-bR", token)).body == VTT
    told = (await home.request("DELETE", place, token)).data
    assert told["captions"] == []
    assert (await home.request("DELETE", place, token)).status == 404
    refused = await home.request("PUT", f"{place}?label=a%00b", token, data=VTT)
    assert (refused.status, refused.code) == (400, "invalid_request")


async def test_captions_that_are_too_large(home: House) -> None:
    row, token = await _entered(home), user(home)
    data = b"WEBVTT\n\n" + VTT[8:] * 40_000

    async def without_length() -> AsyncIterator[bytes]:
        yield data

    for body in (data, without_length()):
        refused = await home.request("PUT", f"{path_of(row)}/captions/de", token, data=body)
        assert (refused.status, refused.code) == (413, "payload_too_large")
        assert "1048576" in refused.json["error"]["message"]


async def test_captions_that_are_put_and_removed_at_once_are_there_or_not(home: House) -> None:
    row, token = await _entered(home), user(home)
    place = f"{path_of(row)}/captions/de"
    texts = [VTT + str(number).encode() for number in range(6)]
    puts = [home.request("PUT", place, token, data=text) for text in texts]
    removals = [home.request("DELETE", place, token) for _ in range(3)]
    await asyncio.gather(*puts[:3], *removals, *puts[3:])
    told = (await home.get(path_of(row), token)).data
    served = [(await home.get(each["url"])).body for each in told["captions"]]
    assert all(body in texts for body in served)
    store = home.services.depots.store("local")
    assert len([entry async for entry in store.list(f"media/{row.id}/")]) == len(served)


# --- many at once, the trash ----------------------------------------------------------------------


async def test_a_batch_has_a_result_for_each(home: House) -> None:
    one, two, others = await _entered(home), await _entered(home), await _entered(home, "otto")
    ids = [one.id, others.id, "MF_none", two.id]

    async def act(**body: Any) -> list[tuple[bool, str]]:
        answer = await home.post("/api/v1/media/batch", user(home), json={"ids": ids, **body})
        assert answer.status == 200
        results = answer.data["results"]
        assert [each["id"] for each in results] == ids
        return [(each["success"], each.get("error", {}).get("code", "")) for each in results]

    expected = [(True, ""), (False, "not_your_media"), (False, "media_not_found"), (True, "")]
    assert await act(action="tag", tags=["new"]) == expected
    assert await act(action="delete") == expected
    assert await act(action="tag", tags=["newer"]) == [
        (False, "media_deleted"), expected[1], expected[2], (False, "media_deleted"),
    ]  # fmt: skip
    assert await act(action="restore") == expected
    row = await home.services.catalog.media.get(one.id)
    assert row is not None
    assert row.tags == ["new"]
    for wrong in ({"action": "burn"}, {"action": "tag"}, {"action": "delete", "ids": []}):
        answer = await home.post("/api/v1/media/batch", user(home), json={"ids": ids, **wrong})
        assert answer.status == 400


async def test_deleted_and_brought_back(home: House) -> None:
    row, token = await _entered(home), user(home)
    url = (await home.get(path_of(row), token)).data["url"]
    gone = await home.request("DELETE", path_of(row), token)
    assert gone.data["deletedAt"] is not None
    assert gone.data["url"] is None
    assert (await home.get("/api/v1/media/user/media", token)).data["total"] == 0
    trash = await home.get("/api/v1/media/user/media?deleted=true", token)
    assert [each["id"] for each in trash.data["items"]] == [row.id]
    answer = await home.get(url)  # a link that was handed out before
    assert (answer.status, answer.code) == (410, "media_deleted")
    answer = await home.request("PATCH", path_of(row), token, json={"filename": "x.mp4"})
    assert (answer.status, answer.code) == (410, "media_deleted")
    back = await home.post(f"{path_of(row)}/restore", token)
    assert back.data["deletedAt"] is None


async def _entered(home: House, identity: str = "ursula", **changes: Any) -> MediaRow:
    """A file that is in the catalog alone: what is in it does not matter here."""
    media_id = new_media_id()
    row = MediaRow(
        **{
            "id": media_id,
            "user_id": identity,
            "status": "ready",
            "filename": "talk.mp4",
            "content_type": "video/mp4",
            "file_type": "video",
            "size": 5,
            "provider": "local",
            "storage_key": f"media/{media_id}/original.mp4",
            "duration_seconds": 1.0,
            "width": 640,
            "height": 360,
            "video_codec": "h264",
            "audio_codec": None,
            "bitrate": 40,
            "frame_rate": 30.0,
            "quality": "360p",
            "sha256": None,
            "fingerprint": "f",
            "duplicate_of": None,
            "tags": [],
            "captions": [],
            "derived": [],
            "renditions": [],
            "attachments": [],
            "views": 0,
            "seconds_watched": 0.0,
            "error": None,
            "created_at": datetime.now(UTC),
            "deleted_at": None,
            **changes,
        }
    )
    return await home.services.catalog.media.create(row)
