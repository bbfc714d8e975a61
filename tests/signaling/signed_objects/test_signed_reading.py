"""Objects read with signed links through this server, and links that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.signaling.signed_objects.desk import CONTENT, LIFE, WEBM, Desk, refused

# --- reading --------------------------------------------------------------------------------------


async def test_an_object_is_read_with_a_link_and_nothing_else(desk: Desk) -> None:
    await desk.put("room/комната.webm")
    answer = await desk.send(await desk.signer.sign_get("room/комната.webm", LIFE))
    assert (answer.status, answer.body) == (200, CONTENT)
    assert answer.headers["Content-Type"] == WEBM
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Disposition"].startswith("inline; ")


@pytest.mark.parametrize("key", ["%2e%2e/%2Foutside", "a +&=#?;b%", "...", "~a/.b/-c"])
async def test_an_awkward_key(desk: Desk, key: str) -> None:
    put = await desk.send(await desk.signer.sign_put(key, LIFE, WEBM), CONTENT)
    assert put.status == 200
    assert (await desk.send(await desk.signer.sign_get(key, LIFE))).body == CONTENT
    assert await desk.contents() == {key: CONTENT}


async def test_head(desk: Desk) -> None:
    await desk.put("a")
    link = await desk.signer.sign_get("a", LIFE)
    answer = await desk.ask("HEAD", link.url)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(CONTENT))


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-0", 0, 0), ("bytes=100-299", 100, 299), ("bytes=-5", -5, -1), ("bytes=9-", 9, -1)],
)
async def test_ranges(desk: Desk, asked: str, first: int, last: int) -> None:
    await desk.put("a")
    answer = await desk.send(await desk.signer.sign_get("a", LIFE), Range=asked)
    first, last = first % len(CONTENT), last % len(CONTENT)
    assert (answer.status, answer.body) == (206, CONTENT[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(CONTENT)}"


async def test_a_range_past_the_end(desk: Desk) -> None:
    await desk.put("a")
    link = await desk.signer.sign_get("a", LIFE)
    answer = await desk.send(link, Range=f"bytes={len(CONTENT)}-")
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")


async def test_a_download_that_is_resumed_never_mixes_two_versions(desk: Desk) -> None:
    await desk.put("a", b"first version")
    link = await desk.signer.sign_get("a", LIFE)
    old = (await desk.send(link)).headers
    for same in (old["ETag"], old["Last-Modified"]):
        answer = await desk.send(link, Range="bytes=6-", If_Range=same)
        assert (answer.status, answer.body) == (206, b"version")
    await desk.put("a", b"other version, longer")
    for other in (old["ETag"], f"W/{old['ETag']}", '"nonsense"', "nonsense"):
        answer = await desk.send(link, Range="bytes=6-", If_Range=other)
        assert (answer.status, answer.body) == (200, b"other version, longer")


async def test_what_the_client_has_already_is_not_sent_again(desk: Desk) -> None:
    await desk.put("a")
    link = await desk.signer.sign_get("a", LIFE)
    etag = (await desk.send(link)).headers["ETag"]
    assert (await desk.send(link, If_None_Match=etag)).status == 304


@pytest.mark.parametrize(
    ("file_name", "download", "expected"),
    [
        (None, False, "inline; filename=\"b.webm\"; filename*=UTF-8''b.webm"),
        (None, True, "attachment; filename=\"b.webm\"; filename*=UTF-8''b.webm"),
        (
            'höhe";x\r\n.webm',
            True,
            "attachment; filename=\"h_he_;x__.webm\"; filename*=UTF-8''h%C3%B6he%22%3Bx%0D%0A.webm",
        ),
    ],
)
async def test_what_a_browser_saves_it_as(
    desk: Desk, file_name: str | None, download: bool, expected: str
) -> None:
    await desk.put("a/b.webm")
    link = await desk.signer.sign_get("a/b.webm", LIFE, file_name=file_name, download=download)
    assert (await desk.send(link)).headers["Content-Disposition"] == expected


async def test_a_type_that_the_link_says(desk: Desk) -> None:
    await desk.put("a")
    link = await desk.signer.sign_get("a", LIFE, content_type="audio/mp4")
    assert (await desk.send(link)).headers["Content-Type"] == "audio/mp4"


async def test_what_is_not_there(desk: Desk) -> None:
    answer = await desk.send(await desk.signer.sign_get("a", LIFE))
    assert (answer.status, answer.code) == (404, "object_not_found")


async def test_attack_a_neighbour_that_looks_like_a_compressed_form(desk: Desk) -> None:
    await desk.put("a.webm", b"the one that was signed")
    for ending in (".gz", ".br"):
        await desk.put(f"a.webm{ending}", b"another's secret")
    link = await desk.signer.sign_get("a.webm", LIFE)
    answer = await desk.send(link, Accept_Encoding="gzip, br")
    assert answer.body == b"the one that was signed"
    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html",
        "TEXT/HTML; charset=utf-8",
        "image/svg+xml",
        "application/xhtml+xml",
        "text/xml",
        "application/pdf",
        "multipart/x-mixed-replace;boundary=x",
        "video/../text/html",
        "text/html\r\nX-Evil: 1",
        "",
        "é",
    ],
)
async def test_attack_stored_html(desk: Desk, content_type: str) -> None:
    await desk.put("a.html", b"<script>alert(1)</script>", content_type)
    answer = await desk.send(await desk.signer.sign_get("a.html", LIFE))
    assert answer.status == 200
    assert answer.headers["Content-Disposition"].startswith("attachment; ")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "X-Evil" not in answer.headers
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert policy[:2] == ["sandbox", "default-src 'none'"]
    assert not [rule for rule in policy if rule.startswith("script-src")]


# --- links that do not fit ------------------------------------------------------------------------


async def test_attack_a_link_after_its_time(desk: Desk) -> None:
    await desk.put("a", b"x")
    reading, writing = (
        await desk.signer.sign_get("a", LIFE),
        await desk.signer.sign_put("a", LIFE, WEBM),
    )
    form = await desk.signer.sign_post("a", LIFE, WEBM, largest=len(CONTENT))
    desk.clock.now += 600
    await refused(await desk.send(reading), "link_expired", desk)
    await refused(await desk.send(writing, CONTENT), "link_expired", desk)
    await refused(await desk.post(form), "link_expired", desk)
    assert await desk.contents() == {"a": b"x"}


async def test_attack_a_link_for_another_key_or_method(desk: Desk) -> None:
    await desk.put("a", b"x")
    await desk.put("b", b"x")
    reading, writing = (
        await desk.signer.sign_get("a", LIFE),
        await desk.signer.sign_put("a", LIFE, WEBM),
    )
    await refused(await desk.ask("GET", reading.url.replace("/a?", "/b?")), "link_invalid", desk)
    await refused(await desk.ask("GET", writing.url), "link_invalid", desk)
    await refused(await desk.ask("PUT", reading.url, CONTENT), "link_invalid", desk)
    tampered = writing.url.replace("/a?", "/b?")
    await refused(await desk.ask("PUT", tampered, CONTENT), "link_invalid", desk)
    assert await desk.contents() == {"a": b"x", "b": b"x"}


async def test_attack_without_a_signature(desk: Desk) -> None:
    await desk.put("a", b"x")
    url = f"{desk.url}/objects/a"
    await refused(await desk.ask("GET", url), "link_invalid", desk)
    await refused(await desk.ask("PUT", f"{url}?expires=99999999999", b"y"), "link_invalid", desk)
    assert (await desk.ask("DELETE", url)).status == 405
    assert await desk.contents() == {"a": b"x"}


@pytest.mark.parametrize(
    "path",
    [
        "/objects/../secret",
        "/objects/%2e%2e/secret",
        "/objects/..%2fsecret",
        "/objects//etc/passwd",
        "/objects/a%00",
        "/objects/.incoming/a",
        "/objects/%ff%fe",
        "/objects/" + "a/" * 3000,
    ],
)
async def test_attack_a_path_out_of_the_store(desk: Desk, path: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    link = desk.target(await desk.signer.sign_put("a", LIFE, WEBM))
    target = path.encode() + link[link.index(b"?") :]
    for method in (b"PUT", b"GET"):
        answer = await desk.raw(
            method + b" " + target + b" HTTP/1.1\r\nHost: x\r\nContent-Type: video/webm\r\n"
            b"Content-Length: 1\r\n\r\nx",
        )
        assert answer.split()[1] in (b"403", b"404")
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert await desk.contents() == {}
