"""Files of users: announced, sent into the store of any provider, completed, and followed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from recorder.errors import JobPostponed
from storage.errors import StoreUnavailable
from tests.rig.waiting import until
from tests.signaling.uploading import (
    PART,
    PROVIDERS,
    REFUSED,
    Uploader,
    expired,
    uploading,
    waits_at_the_door,
)
from tests.storage.contents import counting
from tests.storage.stores import Servers

SMALL = counting(300_000)
LARGE = counting(2 * PART + 12_345)
IN_PARTS = 1 << 20  # bytes: what is larger goes in parts in these tests


@pytest.fixture(params=PROVIDERS)
async def anywhere(
    request: pytest.FixtureRequest, servers: Servers, tmp_path: Path
) -> AsyncIterator[Uploader]:
    async with uploading(servers, tmp_path, request.param, largest_form=IN_PARTS) as uploader:
        yield uploader


@pytest.fixture
async def here(servers: Servers, tmp_path: Path) -> AsyncIterator[Uploader]:
    """With the local provider."""
    async with uploading(
        servers,
        tmp_path,
        largest_form=IN_PARTS,
        max_concurrent_uploads="2",
        max_video_size_mb="20",
        allowed_origins="https://app.example.com",
    ) as uploader:
        yield uploader


# --- at every provider ----------------------------------------------------------------------------


async def test_a_form_brings_a_file(anywhere: Uploader) -> None:
    begun = await anywhere.initiate(len(SMALL), courseId="course 7")
    assert begun["fields"]["key"] == begun["storageKey"]
    assert begun["expiresIn"] == 3600
    before = await anywhere.progress(begun)
    assert (before["uploadProgress"], before["status"]) == (0, "uploading")

    assert 200 <= await anywhere.post(begun, SMALL) < 300
    media = (await anywhere.complete(begun)).data

    assert await anywhere.content(media["storageKey"]) == SMALL
    progress = await anywhere.progress(begun)
    assert progress["uploadProgress"] == 100
    assert progress["bytesUploaded"] == len(SMALL)
    assert (progress["status"], progress["etaSeconds"]) == ("completed", 0)
    assert progress["mediaId"] == media["id"]
    (asked,) = anywhere.shelf.asked
    assert (asked.user_id, asked.course_id) == ("paul", "course 7")
    assert (await anywhere.complete(begun)).data["id"] == media["id"]


async def test_a_large_file_goes_in_parts(anywhere: Uploader) -> None:
    begun = await anywhere.initiate(len(LARGE))
    assert (begun["partSize"], begun["parts"]) == (PART, 3)
    assert "uploadUrl" not in begun

    parts = await anywhere.send_parts(begun, LARGE)
    media = (await anywhere.complete(begun, parts)).data

    assert await anywhere.content(media["storageKey"]) == LARGE
    assert (await anywhere.progress(begun))["uploadProgress"] == 100
    assert (await anywhere.complete(begun, parts)).data["id"] == media["id"]
    assert len(anywhere.shelf.asked) == 1


async def test_what_the_library_refuses_leaves_nothing(anywhere: Uploader) -> None:
    begun = await anywhere.sent(REFUSED + SMALL)

    for _ in range(2):  # it is no other answer when it is asked for again
        refused = await anywhere.complete(begun)
        assert (refused.status, refused.code) == (415, "unsupported_format")
        assert refused.details == {"is": "text"}
    progress = await anywhere.progress(begun)
    assert progress["status"] == "failed"
    assert progress["error"] == {"code": "unsupported_format", "message": "it is a text"}
    await anywhere.nothing_is_left()


async def test_an_upload_in_parts_that_is_given_up_leaves_nothing(anywhere: Uploader) -> None:
    begun = await anywhere.initiate(len(LARGE))
    (link,) = await anywhere.links(begun, 1)
    await anywhere.put(link, LARGE[:PART])
    for _ in range(2):
        answer = await anywhere.call("DELETE", f"/{begun['sessionKey']}")
        assert answer.data["status"] == "aborted"
    await anywhere.nothing_is_left()
    over = await anywhere.complete(begun)
    assert (over.status, over.code) == (410, "upload_over")


@pytest.mark.parametrize(
    "anywhere", [each for each in PROVIDERS if each != "vercel"], indirect=True
)
async def test_parts_need_not_be_named_where_the_store_knows_them(anywhere: Uploader) -> None:
    begun = await anywhere.initiate(len(LARGE))
    (first,) = await anywhere.links(begun, 1)
    await anywhere.put(first, LARGE[:PART])
    early = await anywhere.complete(begun)
    assert (early.status, early.code) == (409, "upload_incomplete")
    assert early.details["missing"] == [2, 3]
    assert (await anywhere.progress(begun))["bytesUploaded"] == PART

    second, third = await anywhere.links(begun, 2, 3)
    await anywhere.put(second, LARGE[PART : 2 * PART])
    await anywhere.put(third, LARGE[2 * PART :])
    media = (await anywhere.complete(begun, [{"partNumber": 1}])).data
    assert await anywhere.content(media["storageKey"]) == LARGE


@pytest.mark.parametrize("anywhere", ["vercel"], indirect=True)
async def test_parts_have_to_be_named_where_the_store_tells_nothing(anywhere: Uploader) -> None:
    begun = await anywhere.initiate(len(LARGE))
    parts = await anywhere.send_parts(begun, LARGE)
    for too_little in (None, [], [{"partNumber": 1}], parts[:2]):
        refused = await anywhere.complete(begun, too_little)
        assert refused.code in ("bad_parts", "upload_incomplete")
    assert (await anywhere.complete(begun, parts)).status == 200


# --- before the first byte ------------------------------------------------------------------------


async def test_what_is_too_large_is_refused_with_the_limit(here: Uploader) -> None:
    refused = await here.try_to_initiate((20 << 20) + 1)
    assert (refused.status, refused.code) == (413, "file_too_large")
    assert refused.details["limitBytes"] == 20 << 20
    assert str(20 << 20) in refused.json["error"]["message"]
    for size in (5 << 41, 10**30):  # more than any store takes
        assert (await here.try_to_initiate(size)).code == "file_too_large"
    assert (await here.try_to_initiate(20 << 20)).status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"filename": "notes.txt", "contentType": "text/plain"},
        {"filename": "page.html", "contentType": "text/html"},
        {"filename": "film.mkv", "contentType": "video/mp4"},
        {"filename": "film.mp4", "contentType": "image/svg+xml"},
        {"filename": "film", "contentType": ""},
        {"filename": "film", "contentType": "application/octet-stream"},
    ],
    ids=lambda changes: f"{changes['filename']} {changes['contentType']}",
)
async def test_other_formats_are_refused_with_those_that_are_allowed(
    here: Uploader, changes: dict[str, str]
) -> None:
    refused = await here.try_to_initiate(1000, **changes)
    assert (refused.status, refused.code) == (415, "unsupported_format")
    assert refused.details["allowedFormats"] == ["mp4", "webm", "avi", "mov"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"fileSize": 0}, "bad_file_size"),
        ({"fileSize": -1}, "bad_file_size"),
        ({"fileSize": "1000"}, "bad_file_size"),
        ({"fileSize": 1.5}, "bad_file_size"),
        ({"filename": ""}, "bad_filename"),
        ({"filename": "/"}, "bad_filename"),
        ({"filename": "a\nb.mp4"}, "bad_filename"),
        ({"filename": None}, "bad_filename"),
        ({"contentType": 7}, "bad_content_type"),
        ({"courseId": "a\0b"}, "bad_course_id"),
    ],
)
async def test_a_field_that_cannot_be_is_named(
    here: Uploader, changes: dict[str, object], code: str
) -> None:
    refused = await here.try_to_initiate(1000, **changes)
    assert (refused.status, refused.code) == (400, code)
    assert await here.rows("open") == ()


async def test_a_user_has_so_many_uploads_under_way(here: Uploader) -> None:
    answers = await asyncio.gather(*(here.try_to_initiate(1000) for _ in range(6)))
    begun = [answer.data for answer in answers if answer.status == 200]
    refused = next(answer for answer in answers if answer.status != 200)
    assert len(begun) == 2
    assert (refused.status, refused.code) == (429, "too_many_uploads")
    assert refused.details["limit"] == 2
    assert set(refused.details["underWay"]) == {each["sessionKey"] for each in begun}
    assert int(refused.headers["Retry-After"]) == 60

    assert (await here.somebody_else().try_to_initiate(1000)).status == 200
    await here.call("DELETE", f"/{begun[0]['sessionKey']}")
    assert (await here.try_to_initiate(1000)).status == 200


async def test_a_form_that_cannot_be_signed_leaves_no_session(
    here: Uploader, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailable("the store is down")

    monkeypatch.setattr(here.home.services.local_objects, "sign_post", refuse)
    assert (await here.try_to_initiate(1000)).code == "store_unavailable"
    assert await here.rows("open") == ()


async def test_types_are_told_without_their_parameters(here: Uploader) -> None:
    begun = await here.initiate(
        1000, filename="C:\\films\\rec.webm", contentType='Video/WebM; codecs="vp8,opus"'
    )
    assert begun["fields"]["Content-Type"] == "video/webm"
    assert begun["storageKey"].endswith(".webm")
    assert (await here.row(begun)).filename == "rec.webm"
    unknown = await here.initiate(1000, filename="a.MOV", contentType="")
    assert unknown["fields"]["Content-Type"] == "video/quicktime"


# --- on the way -----------------------------------------------------------------------------------


async def test_a_client_may_say_how_far_it_is(here: Uploader) -> None:
    begun = await here.initiate(1000)
    path = f"/progress/{begun['sessionKey']}"
    told = await here.call("PUT", path, {"bytesUploaded": 250})
    assert told.data["uploadProgress"] == 25
    assert told.data["bytesUploaded"] == 250
    assert told.data["uploadSpeedMbps"] > 0
    assert told.data["etaSeconds"] > 0
    for wrong in (-1, 1001, "250", None):
        refused = await here.call("PUT", path, {"bytesUploaded": wrong})
        assert (refused.status, refused.code) == (400, "bad_bytes_uploaded")
    assert (await here.progress(begun))["bytesUploaded"] == 250


async def test_the_local_provider_knows_how_far_a_form_is(here: Uploader) -> None:
    content = counting(IN_PARTS)
    begun = await here.initiate(len(content))
    half_sent, go_on = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        head = "".join(
            f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in begun["fields"].items()
        )
        yield head.encode() + b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        yield content[: len(content) // 2]
        half_sent.set()
        await go_on.wait()
        yield content[len(content) // 2 :] + b"\r\n--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    sending = asyncio.create_task(
        here.home.request("POST", "/objects", headers=headers, data=body())
    )
    await half_sent.wait()

    async def nearly_half() -> Any:
        progress = await here.progress(begun)
        return progress if progress["uploadProgress"] >= 40 else None

    progress = await until(nearly_half, within=10, what="the first half is here")
    assert progress["uploadProgress"] <= 50
    assert progress["uploadSpeedMbps"] > 0
    assert progress["etaSeconds"] > 0
    go_on.set()
    assert (await sending).status == 204
    assert (await here.complete(begun)).status == 200


async def test_links_to_parts_may_be_asked_for_again(here: Uploader) -> None:
    begun = await here.initiate(len(LARGE))
    (first,), (again,) = await here.links(begun, 2), await here.links(begun, 2)
    for link in (first, again):
        assert (await here.put(link, LARGE[PART : 2 * PART]))[0] == 200
    for numbers in ([], [0], [4], [1, -1], [1.5], ["1"], list(range(1, 3)) * 60):
        body = {"sessionKey": begun["sessionKey"], "partNumbers": numbers}
        refused = await here.call("POST", "/parts", body)
        assert (refused.status, refused.code) == (400, "bad_part_numbers")


async def test_asking_for_links_keeps_a_session_alive(here: Uploader) -> None:
    begun = await here.initiate(len(LARGE))
    await expired(here, begun)
    await here.links(begun, 1)
    assert await here.home.services.uploads.look() == 0
    assert (await here.row(begun)).status == "open"


async def test_a_form_through_this_server_is_open_to_pages_of_any_origin(
    servers: Servers, tmp_path: Path
) -> None:
    async with uploading(servers, tmp_path, "vercel") as uploader:
        begun = await uploader.initiate(len(SMALL))
        assert await uploader.post(begun, SMALL) == 204
        headers = {"Origin": "https://any.example", "Access-Control-Request-Method": "POST"}
        path = begun["uploadUrl"].partition("/api/")[2].partition("?")[0]
        answer = await uploader.home.request("OPTIONS", f"/api/{path}", headers=headers)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


# --- the end --------------------------------------------------------------------------------------


async def test_completing_twice_at_once_is_completing_once(here: Uploader) -> None:
    begun = await here.sent(SMALL)
    here.shelf.open_door = asyncio.Event()
    both = [asyncio.create_task(here.complete(begun)) for _ in range(2)]
    await waits_at_the_door(here)
    assert (await here.progress(begun))["status"] == "processing"
    busy = await here.call("DELETE", f"/{begun['sessionKey']}")
    assert (busy.status, busy.code) == (409, "upload_busy")
    here.shelf.open_door.set()
    first, second = await asyncio.gather(*both)
    assert first.data == second.data
    assert len(here.shelf.asked) == 1


async def test_a_client_that_hangs_up_while_it_is_finished_finds_it_done(here: Uploader) -> None:
    begun = await here.sent(SMALL)
    here.shelf.open_door = asyncio.Event()
    asking = asyncio.create_task(here.complete(begun))
    await waits_at_the_door(here)
    asking.cancel()
    here.shelf.open_door.set()
    assert (await here.complete(begun)).status == 200
    assert len(here.shelf.asked) == 1


async def test_giving_an_upload_up_several_times_at_once_is_giving_it_up(here: Uploader) -> None:
    begun = await here.sent(SMALL)
    path = f"/{begun['sessionKey']}"
    answers = await asyncio.gather(*(here.call("DELETE", path) for _ in range(4)))
    assert [answer.data["status"] for answer in answers] == ["aborted"] * 4
    await here.nothing_is_left()


async def test_a_library_that_cannot_look_now_is_asked_again(here: Uploader) -> None:
    begun = await here.sent(SMALL)
    here.shelf.down = JobPostponed("no room for another process")
    later = await here.complete(begun)
    assert (later.status, later.code) == (503, "job_postponed")
    assert "Retry-After" in later.headers
    here.shelf.down = None
    assert (await here.complete(begun)).status == 200


async def test_a_session_that_has_expired_is_over(here: Uploader) -> None:
    form, parts = await here.sent(SMALL), await here.initiate(len(LARGE))
    look = here.home.services.uploads.look
    for begun in (form, parts):
        await expired(here, begun)
    assert await look() == 1, "a form's bytes are a sign of life"
    await expired(here, form)
    assert await look() == 1
    await here.nothing_is_left()
    for begun in (form, parts):
        over = await here.complete(begun)
        assert (over.status, over.code) == (410, "upload_over")
        assert over.details == {"status": "expired"}
        assert (await here.progress(begun))["status"] == "expired"


async def test_parts_that_arrive_are_a_sign_of_life(here: Uploader) -> None:
    begun = await here.initiate(len(LARGE))
    (link,) = await here.links(begun, 1)
    await here.put(link, LARGE[:PART])
    await expired(here, begun)
    assert await here.home.services.uploads.look() == 0
    await expired(here, begun)  # and then nothing more comes
    assert await here.home.services.uploads.look() == 1
    await here.nothing_is_left()
