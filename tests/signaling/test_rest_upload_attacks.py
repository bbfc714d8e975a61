"""Lying clients: what they announce is held against what comes, and nothing of it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recorder.uploads.limits import ROOM_SHARE
from signaling.auth import VideoGrants
from tests.rig.waiting import until
from tests.signaling.uploading import (
    PART,
    PROVIDERS,
    UPLOADS,
    Uploader,
    uploading,
    waits_at_the_door,
)
from tests.storage.contents import counting
from tests.storage.stores import Servers

SMALL = counting(100_000)
LARGE = counting(PART + 100_000)
IN_PARTS = 1 << 20
HOUR = timedelta(hours=1)


@pytest.fixture(params=PROVIDERS)
async def anywhere(
    request: pytest.FixtureRequest, servers: Servers, tmp_path: Path
) -> AsyncIterator[Uploader]:
    async with uploading(servers, tmp_path, request.param, largest_form=IN_PARTS) as uploader:
        yield uploader


@pytest.fixture
async def here(servers: Servers, tmp_path: Path) -> AsyncIterator[Uploader]:
    async with uploading(servers, tmp_path, largest_form=IN_PARTS) as uploader:
        yield uploader


async def give_up(uploader: Uploader, begun: Any) -> None:
    await uploader.call("DELETE", f"/{begun['sessionKey']}")
    await uploader.nothing_is_left()


# --- sizes ----------------------------------------------------------------------------------------


async def test_announcing_little_and_sending_much(anywhere: Uploader) -> None:
    begun = await anywhere.initiate(len(SMALL))
    assert await anywhere.post(begun, SMALL * 20) >= 400
    refused = await anywhere.complete(begun)
    assert (refused.status, refused.code) == (409, "upload_incomplete")
    await give_up(anywhere, begun)


async def test_announcing_much_and_sending_little(anywhere: Uploader) -> None:
    begun = await anywhere.initiate(len(SMALL))
    assert await anywhere.post(begun, SMALL[:-1]) >= 400
    assert (await anywhere.complete(begun)).status == 409
    await give_up(anywhere, begun)


async def test_a_gigabyte_where_ten_megabytes_were_announced_stops_at_ten(
    servers: Servers, tmp_path: Path
) -> None:
    """Through this server: it is not read to its end, and not kept."""
    async with uploading(servers, tmp_path, "vercel") as uploader:
        begun = await uploader.initiate(10 << 20)
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            head = "".join(
                f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                for name, value in begun["fields"].items()
            )
            yield head.encode() + b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
            while sent < 1 << 30:
                yield bytes(1 << 20)
                sent += 1 << 20

        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        try:
            async with uploader.http.post(
                begun["uploadUrl"], data=endless(), headers=headers
            ) as answer:
                assert answer.status == 413
                assert str(10 << 20) in (await answer.json())["error"]["message"]
        except OSError:
            pass  # the connection may be closed before the client has listened
        assert sent < 64 << 20
        await give_up(uploader, begun)


async def test_sending_parts_of_wrong_sizes(anywhere: Uploader) -> None:
    begun = await anywhere.initiate(len(LARGE))
    first, second = await anywhere.links(begun, 1, 2)
    parts = []
    for link, content in ((first, LARGE), (second, LARGE)):
        _, part = await anywhere.put(link, content)
        parts.append(part)
    refused = await anywhere.complete(begun, parts)
    assert refused.status in (400, 409)
    assert refused.code in ("upload_incomplete", "size_mismatch", "bad_parts")
    assert anywhere.shelf.asked == []
    await give_up(anywhere, begun)


async def test_sending_more_parts_than_were_agreed_on(here: Uploader) -> None:
    begun = await here.initiate(len(LARGE))
    parts = await here.send_parts(begun, LARGE)
    signer, row = here.home.services.local_objects, await here.row(begun)
    assert row.upload_id is not None
    third = await signer.sign_part(row.storage_key, row.upload_id, 3, HOUR)
    await here.home.request("PUT", third.url, data=b"more")
    refused = await here.complete(begun, parts)
    assert (refused.status, refused.details["wrongSize"]) == (409, [3])
    await give_up(here, begun)


async def test_naming_parts_twice_or_with_other_etags_or_that_there_are_not(here: Uploader) -> None:
    begun = await here.initiate(len(LARGE))
    first, second = await here.send_parts(begun, LARGE)
    forged = {**second, "etag": first["etag"]}
    for parts in ([first, forged], [first, second, first], [first, second, {"partNumber": 3}]):
        refused = await here.complete(begun, parts)
        assert (refused.status, refused.code) == (400, "bad_parts")
    assert (await here.complete(begun, [first, second])).status == 200


# --- other things than announced ------------------------------------------------------------------


async def test_sending_another_content_type(anywhere: Uploader) -> None:
    begun = await anywhere.initiate(len(SMALL))
    status = await anywhere.post(begun, SMALL, **{"Content-Type": "text/html"})
    assert status in (400, 403)
    assert (await anywhere.complete(begun)).status == 409
    await give_up(anywhere, begun)


async def test_sending_a_form_under_another_key(anywhere: Uploader) -> None:
    begun = await anywhere.initiate(len(SMALL))
    status = await anywhere.post(begun, SMALL, key="recordings/somebody-elses.mp4")
    assert status in (400, 403)
    assert [entry.key async for entry in anywhere.store.list("recordings/")] == []
    await give_up(anywhere, begun)


async def test_completing_before_anything_was_sent(anywhere: Uploader) -> None:
    form, in_parts = await anywhere.initiate(len(SMALL)), await anywhere.initiate(len(LARGE))
    refused = await anywhere.complete(form)
    assert (refused.status, refused.code) == (409, "upload_incomplete")
    refused = await anywhere.complete(in_parts, [])
    assert refused.code in ("upload_incomplete", "bad_parts")
    await anywhere.call("DELETE", f"/{form['sessionKey']}")
    await give_up(anywhere, in_parts)


async def test_replacing_a_file_after_it_was_looked_at(anywhere: Uploader) -> None:
    """A form can be sent again as long as it is signed: what is kept is out of its reach."""
    begun = await anywhere.sent(SMALL)
    media = (await anywhere.complete(begun)).data
    await anywhere.post(begun, SMALL[::-1])
    assert await anywhere.content(media["storageKey"]) == SMALL
    assert (await anywhere.complete(begun)).data["id"] == media["id"]


async def test_replacing_a_file_by_the_link_of_a_part(anywhere: Uploader) -> None:
    begun = await anywhere.initiate(len(LARGE))
    parts = await anywhere.send_parts(begun, LARGE)
    links = await anywhere.links(begun, 1, 2)
    media = (await anywhere.complete(begun, parts)).data
    for link in links:
        await anywhere.put(link, LARGE[:PART][::-1])
    assert await anywhere.content(media["storageKey"]) == LARGE


async def test_putting_a_whole_object_by_the_link_of_a_part(
    servers: Servers, tmp_path: Path
) -> None:
    """At Vercel Blob such a link is a permission to do so: what is kept has another key."""
    async with uploading(servers, tmp_path, "vercel", largest_form=IN_PARTS) as uploader:
        begun = await uploader.initiate(len(LARGE))
        parts = await uploader.send_parts(begun, LARGE)
        (link,) = await uploader.links(begun, 1)
        media = (await uploader.complete(begun, parts)).data
        headers = {name: value for name, value in link["headers"].items() if "mpu" not in name} | {
            "x-content-type": "video/mp4",
            "x-allow-overwrite": "1",
        }
        whole = {
            **link,
            "method": "PUT",
            "url": link["url"].replace("/mpu?", "/?"),
            "headers": headers,
        }
        await uploader.put(whole, LARGE[::-1])
        assert await uploader.content(begun["storageKey"]) == LARGE[::-1], "no attack at all"
        assert await uploader.content(media["storageKey"]) == LARGE


async def test_a_form_that_is_replayed_when_its_session_is_over(here: Uploader) -> None:
    """As long as it is signed: or else sessions that are given up at once would fill the disk."""
    for end in ("abort", "complete"):
        begun = await here.sent(SMALL)
        if end == "abort":
            await here.call("DELETE", f"/{begun['sessionKey']}")
        else:
            await here.complete(begun)
        keys = await here.keys()
        assert await here.post(begun, SMALL) == 410
        assert await here.keys() == keys


async def test_a_form_of_a_session_that_an_earlier_process_began(here: Uploader) -> None:
    begun = await here.initiate(len(SMALL))
    here.home.services.uploads._arrivals.forget(await here.row(begun))
    assert await here.post(begun, SMALL) == 204
    assert (await here.complete(begun)).status == 200


async def test_a_form_whose_session_ends_while_it_comes(here: Uploader) -> None:
    content = counting(500_000)
    begun = await here.initiate(len(content))
    half_sent, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        for name, value in begun["fields"].items():
            yield f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        yield b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + content[:300_000]
        half_sent.set()
        await go_on.wait()
        yield content[300_000:] + b"\r\n--b--\r\n"

    async def post() -> int:
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        async with here.http.post(begun["uploadUrl"], data=slowly(), headers=headers) as answer:
            return answer.status

    posting = asyncio.create_task(post())
    await half_sent.wait()
    arriving = Path(here.home.services.settings.recordings_dir) / ".incoming"
    await until(lambda: any(arriving.iterdir()), within=20, what="the file begins to come")
    await here.call("DELETE", f"/{begun['sessionKey']}")
    go_on.set()
    assert await posting == 410
    await here.nothing_is_left()


async def test_what_comes_after_the_end_is_removed(here: Uploader) -> None:
    """A bucket takes a form as long as it is signed."""
    begun = await here.initiate(len(SMALL))
    await here.call("DELETE", f"/{begun['sessionKey']}")
    late = here.home.services.settings.data_dir / "late"
    late.write_bytes(SMALL)
    await here.store.put_file(begun["storageKey"], late, "video/mp4")
    done = await here.sent(SMALL)
    media = (await here.complete(done)).data
    assert len(await here.keys()) == 3
    past = datetime.now(UTC) - 2 * HOUR
    for session in (begun, done):
        row = await here.row(session)
        await here.home.services.catalog.uploads.update(row.id, None, expires_at=past)
    await here.home.services.uploads.sweep()
    assert await here.keys() == [media["storageKey"]]


# --- other people's -------------------------------------------------------------------------------


async def test_somebody_elses_session_is_closed_to_all_but_the_server(here: Uploader) -> None:
    begun = await here.sent(SMALL)
    eve, key = here.somebody_else(), begun["sessionKey"]
    for answer in (
        await eve.complete(begun),
        await eve.call("POST", "/parts", {"sessionKey": key, "partNumbers": [1]}),
        await eve.call("GET", f"/progress/{key}"),
        await eve.call("PUT", f"/progress/{key}", {"bytesUploaded": 1}),
        await eve.call("DELETE", f"/{key}"),
    ):
        assert (answer.status, answer.code) == (403, "not_your_upload")
    assert (await here.progress(begun))["status"] == "uploading"
    server = here.home.server()
    seen = await here.home.get(f"{UPLOADS}/progress/{key}", server)
    assert seen.data["sessionKey"] == key


async def test_the_key_of_somebody_elses_object(here: Uploader) -> None:
    eve = here.somebody_else()
    yours, mine = await here.sent(SMALL), await eve.sent(SMALL)
    refused = await eve.complete(mine, storageKey=yours["storageKey"])
    assert (refused.status, refused.code) == (403, "not_your_upload")
    refused = await eve.complete(yours, sessionKey=mine["sessionKey"])
    assert refused.status == 403
    assert (await here.complete(yours)).status == 200


async def test_no_token_a_token_without_identity_and_no_session(here: Uploader) -> None:
    body = {"filename": "a.mp4", "fileSize": 1, "contentType": "video/mp4"}
    assert (await here.home.post(f"{UPLOADS}/initiate", json=body)).status == 401
    server = here.home.services.authority.mint(None, VideoGrants(), HOUR)
    answer = await here.home.post(f"{UPLOADS}/initiate", server, json=body)
    assert (answer.status, answer.code) == (403, "identity_needed")
    for method, path in (("POST", "parts"), ("POST", "complete"), ("PUT", "progress/UP_nobody")):
        answer = await here.home.request(method, f"{UPLOADS}/{path}", None, data=b"{")
        assert (answer.status, answer.code) == (401, "token_missing"), path
    for key in ("UP_nobody", "..%2f..", "%00"):
        answer = await here.call("GET", f"/progress/{key}")
        assert answer.status in (400, 404)


async def test_a_form_address_without_or_with_a_forged_signature(
    servers: Servers, tmp_path: Path
) -> None:
    async with uploading(servers, tmp_path, "vercel") as uploader:
        begun, other = await uploader.initiate(len(SMALL)), await uploader.initiate(len(SMALL))
        url = begun["uploadUrl"]
        signature = other["uploadUrl"].partition("?")[2]
        for forged in (
            url.partition("?")[0],
            url[:-1] + ("0" if url[-1] != "0" else "1"),
            f"{url.partition('?')[0]}?{signature}",
        ):
            assert await uploader.post({**begun, "uploadUrl": forged}, SMALL) == 401
        assert await uploader.keys() == []
        await uploader.call("DELETE", f"/{other['sessionKey']}")
        await uploader.call("DELETE", f"/{begun['sessionKey']}")
        assert await uploader.post(begun, SMALL) == 410
        await uploader.nothing_is_left()


async def test_completing_while_another_copy_is_still_being_sent(
    servers: Servers, tmp_path: Path
) -> None:
    """What is put through this server is put under its last key: not any more when it is checked."""
    async with uploading(servers, tmp_path, "vercel") as uploader:
        begun = await uploader.sent(SMALL)
        half_sent, go_on = asyncio.Event(), asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield SMALL[:1000]
            half_sent.set()
            await go_on.wait()
            yield SMALL[:-1001:-1]

        uploads, row = uploader.home.services.uploads, await uploader.row(begun)
        sending = asyncio.create_task(uploads.take_stream(row, slowly()))
        await half_sent.wait()
        busy = await uploader.complete(begun)
        assert (busy.status, busy.code) == (409, "upload_busy")
        go_on.set()
        await sending

        again = await uploader.sent(SMALL)
        uploader.shelf.open_door = asyncio.Event()
        completing = asyncio.create_task(uploader.complete(again))
        await waits_at_the_door(uploader)
        assert await uploader.post(again, SMALL[::-1]) == 409
        uploader.shelf.open_door.set()
        media = (await completing).data
        assert await uploader.post(again, SMALL[::-1]) == 410
        assert await uploader.content(media["storageKey"]) == SMALL


async def test_sending_one_file_twice_at_once(servers: Servers, tmp_path: Path) -> None:
    async with uploading(servers, tmp_path, "vercel") as uploader:
        content = counting(4 << 20)
        begun = await uploader.initiate(len(content))
        statuses = await asyncio.gather(*(uploader.post(begun, content) for _ in range(3)))
        assert 204 in statuses
        assert set(statuses) <= {204, 409}
        media = (await uploader.complete(begun)).data
        assert await uploader.content(media["storageKey"]) == content


async def test_as_many_guests_as_somebody_makes_up(servers: Servers, tmp_path: Path) -> None:
    """Whoever holds an invite is a new guest with every click, and each has a limit of their own."""
    async with uploading(servers, tmp_path, max_concurrent_uploads="1") as uploader:
        for number in range(ROOM_SHARE):
            assert (
                await uploader.somebody_else(f"guest-{number}").try_to_initiate(9)
            ).status == 200
        one_more = uploader.somebody_else("one more")
        refused = await one_more.try_to_initiate(9)
        assert (refused.status, refused.code) == (429, "too_many_uploads")
        assert refused.details == {"limit": ROOM_SHARE, "room": "elsewhere"}
        headers = {
            "Tus-Resumable": "1.0.0",
            "Upload-Length": "9",
            "Upload-Metadata": "filename YS5tcDQ=",  # a.mp4
        }
        by_tus = await uploader.home.request(
            "POST", "/api/v1/media/tus", one_more.token, headers=headers
        )
        assert by_tus.status == 429
        assert (await uploader.try_to_initiate(9)).status == 200  # in another room
        host = replace(uploader, token=uploader.home.host("elsewhere"))
        assert (await host.try_to_initiate(9)).status == 200
