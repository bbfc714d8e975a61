"""Signed links in browsers: pages of other origins, and pages that somebody uploaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.rig.browser import chromium
from tests.signaling.signed_objects.desk import CONTENT, LIFE, WEBM, Desk, opened_desk


@pytest.mark.parametrize("path", ["/objects", "/objects/a/b.webm?expires=1&sig=2"])
async def test_pages_of_any_origin_may_use_a_link(desk: Desk, path: str) -> None:
    answer = await desk.ask(
        "OPTIONS",
        desk.url + path,
        headers={
            "Origin": "https://anywhere.example",
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "content-type",
        },
    )
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Allow-Headers"] == "content-type"
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]


async def test_pages_of_any_origin_may_read_the_etag(desk: Desk) -> None:
    link = await desk.signer.sign_put("a", LIFE, WEBM)
    answer = await desk.send(link, CONTENT, Origin="https://anywhere.example")
    read = await desk.send(
        await desk.signer.sign_get("a", LIFE), Origin="https://anywhere.example", Range="bytes=0-1"
    )
    for headers in (answer.headers, read.headers):
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert "ETag" in headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in headers


STORED_PAGE = b"<title>quiet</title><script>document.title = 'run'</script>"
UPLOAD_FROM_A_PAGE = """async ([url, type]) => {
    const sent = await fetch(url, {
        method: "PUT", headers: {"Content-Type": type}, body: new Blob(["from a page"])
    });
    return [sent.status, sent.headers.get("ETag")];
}"""


async def test_in_a_real_browser(tmp_path: Path) -> None:
    """A page of another origin uploads with a link; a stored page that is opened runs nothing."""
    async with (
        opened_desk(tmp_path) as desk,
        TestServer(web.Application()) as elsewhere,
        chromium() as browser,
    ):
        page = await browser.new_page()
        await page.goto(str(elsewhere.make_url("/")))  # a 404 is a page, too
        link = await desk.signer.sign_put("a.webm", LIFE, WEBM, 11)
        status, etag = await page.evaluate(UPLOAD_FROM_A_PAGE, [link.url, WEBM])
        assert (status, bool(etag)) == (200, True)

        await desk.put("a.html", STORED_PAGE, "text/html")
        shown = await desk.signer.sign_get("a.html", LIFE)
        await page.route("**/objects/a.html*", _shown_although_it_is_a_download)
        await page.goto(shown.url)
        assert await page.title() == "quiet"
        assert await page.evaluate("self.origin") == "null"
    assert (tmp_path / "store" / "a.webm").read_bytes() == b"from a page"


async def _shown_although_it_is_a_download(route: Any) -> None:
    """The second line of defence by itself: the policy, without the disposition."""
    answer = await route.fetch()
    headers = {**answer.headers}
    del headers["content-disposition"]
    await route.fulfill(response=answer, headers=headers)
