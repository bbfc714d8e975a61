"""Objects posted with signed forms through this server."""

from __future__ import annotations

import pytest
from aiohttp import FormData

from storage.objects import SignedForm
from tests.signaling.signed_objects.desk import CONTENT, LIFE, WEBM, Desk, refused


async def test_a_form(desk: Desk) -> None:
    form = await desk.signer.sign_post("a b", LIFE, WEBM, largest=len(CONTENT), smallest=2)
    answer = await desk.post(form)
    assert answer.status == 204
    assert answer.headers["ETag"]
    assert await desk.contents() == {"a b": CONTENT}
    assert (await desk.store.head("a b")).content_type == WEBM


@pytest.mark.parametrize(("size", "status"), [(1, 400), (2, 204), (5, 204), (6, 413), (0, 400)])
async def test_attack_a_file_of_another_size_than_signed(
    desk: Desk, size: int, status: int
) -> None:
    form = await desk.signer.sign_post("a", LIFE, WEBM, largest=5, smallest=2)
    assert (await desk.post(form, b"x" * size)).status == status
    assert await desk.contents() == ({"a": b"x" * size} if status == 204 else {})
    assert desk.incoming() == []


@pytest.mark.parametrize("field", ["key", "Content-Type", "expires", "smallest", "largest", "sig"])
@pytest.mark.parametrize("value", ["other", "9", None])
async def test_attack_a_condition_is_changed(desk: Desk, field: str, value: str | None) -> None:
    form = await desk.signer.sign_post("a", LIFE, WEBM, largest=1 << 20, smallest=1)
    await refused(await desk.post(form, **{field: value}), "link_invalid", desk)
    assert await desk.contents() == {}


async def test_attack_a_field_that_was_not_signed(desk: Desk) -> None:
    form = await desk.signer.sign_post("a", LIFE, WEBM, largest=1 << 20)
    for name in ("upload", "type", "success_action_redirect"):
        await refused(await desk.post(form, **{name: "x"}), "link_invalid", desk)
    doubled = SignedForm(form.url, dict(form.fields), form.expires_at)
    data = FormData([*doubled.fields.items(), ("key", "b")])
    data.add_field("file", CONTENT, filename="x")
    await refused(await desk.ask("POST", form.url, data), "link_invalid", desk)
    assert await desk.contents() == {}


def multipart(*parts: tuple[str, bytes], end: bytes = b"--b--\r\n") -> bytes:
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), content)
        for name, content in parts
    )
    return body + end


HOSTILE_FORMS = {
    "empty": b"",
    "no_boundary": b"nonsense",
    "no_file": multipart(("key", b"a")),
    "file_before_the_fields": multipart(("file", b"x"), ("key", b"a")),
    "long_field": multipart(("key", b"a" * 10_000), ("file", b"x")),
    "many_fields": multipart(*[("key", b"a")] * 100, ("file", b"x")),
    "not_utf8": multipart(("key", b"\xff"), ("file", b"x")),
    "cut_in_a_field": multipart(("key", b"a"), end=b"")[:-5],
    "cut_in_a_head": b"--b\r\nContent-Dispo",
    "nested": b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--",
    "long_head": b"--b\r\nX: " + b"x" * 100_000,
}


@pytest.mark.parametrize("body", HOSTILE_FORMS.values(), ids=HOSTILE_FORMS.keys())
async def test_attack_a_form_that_is_none(desk: Desk, body: bytes) -> None:
    url = f"{desk.url}/objects"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert (await desk.ask("POST", url, body, headers)).status in (400, 403)
    assert desk.incoming() == []


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\n--", b"\r\n--other--"])
async def test_a_form_that_ends_within_its_file_leaves_nothing(desk: Desk, end: bytes) -> None:
    form = await desk.signer.sign_post("a", LIFE, WEBM, largest=1 << 20)
    fields = [(name, value.encode()) for name, value in form.fields.items()]
    body = multipart(*fields, ("file", b"x" * 300_000), end=b"").removesuffix(b"\r\n") + end
    answer = await desk.ask(
        "POST", form.url, body, {"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert (answer.status, answer.code) == (400, "bad_body")
    assert desk.incoming() == []
    assert await desk.contents() == {}


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", ""])
async def test_a_post_that_is_no_form(desk: Desk, content_type: str) -> None:
    url = f"{desk.url}/objects"
    answer = await desk.ask("POST", url, b"{}", {"Content-Type": content_type})
    assert answer.status in (400, 415)
