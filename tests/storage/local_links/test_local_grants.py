"""Links and forms of the local store: what they permit, and that nobody makes one up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import (
    BadKey,
    BadParts,
    LinkExpired,
    LinkInvalid,
    StorageError,
)
from storage.objects import LocalStore, Part
from storage.objects.local_grants import PARAMETERS, Grant, secret_for_objects, signed, verified
from storage.objects.local_signing import LocalSigner
from tests.storage.local_links.holding import LIFE, SECRET, WEBM, Clock, opened

OTHER_SECRET = b"the secret of another house"


# --- links ----------------------------------------------------------------------------------------


async def test_a_link_says_what_it_permits(signer: LocalSigner, clock: Clock) -> None:
    now = int(clock.now)
    request = await signer.sign_get(
        "a/b.webm", LIFE, file_name="höhe & tiefe.webm", content_type="video/mp4", download=True
    )
    assert request.url.startswith("https://calls.example.com/objects/a/b.webm?expires=")
    assert request.expires_at == datetime.fromtimestamp(now + 600, UTC)
    assert opened(signer, request) == Grant(
        "GET", "a/b.webm", now + 600, "video/mp4", file_name="höhe & tiefe.webm", download=1
    )

    request = await signer.sign_put("a", LIFE, WEBM, 7)
    assert request.headers == {"Content-Type": WEBM, "Content-Length": "7"}
    assert opened(signer, request) == Grant("PUT", "a", now + 600, WEBM, 7, 7)

    request = await signer.sign_put("a", LIFE, WEBM)
    assert opened(signer, request) == Grant("PUT", "a", now + 600, WEBM, 0, 5 << 30)


async def test_a_form_says_what_it_permits(signer: LocalSigner, clock: Clock) -> None:
    form = await signer.sign_post("a b", LIFE, WEBM, largest=10, smallest=2)
    assert form.url == "https://calls.example.com/objects"
    assert list(form.fields)[:2] == ["key", "Content-Type"]
    expected = Grant("POST", "a b", int(clock.now) + 600, WEBM, 2, 10)
    assert signer.verify_form(form.fields.items()) == expected


@pytest.mark.parametrize("key", ["%2e%2e/%2Foutside", "комната/会议/🎥.webm", "a +&=#?;b", "..."])
async def test_a_link_keeps_its_key(signer: LocalSigner, key: str) -> None:
    assert opened(signer, await signer.sign_get(key, LIFE)).key == key


async def test_an_address_that_is_known_later(local: LocalStore) -> None:
    signer = LocalSigner(local, lambda: base, SECRET)
    base = "http://localhost:8080"
    assert (await signer.sign_get("a", LIFE)).url.startswith("http://localhost:8080/objects/a?")


async def test_a_link_is_good_until_it_expires(signer: LocalSigner, clock: Clock) -> None:
    request = await signer.sign_get("a", LIFE)
    clock.now += 599
    opened(signer, request)
    clock.now += 1
    with pytest.raises(LinkExpired):
        opened(signer, request)


async def test_links_of_older_secrets_are_good(local: LocalStore, signer: LocalSigner) -> None:
    request = await signer.sign_get("a", timedelta(days=36_500))
    opened(LocalSigner(local, "", OTHER_SECRET, older_secrets=[SECRET]), request)
    with pytest.raises(LinkInvalid):
        opened(LocalSigner(local, "", OTHER_SECRET), request)


def test_a_secret_that_can_be_guessed_is_refused(local: LocalStore) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        LocalSigner(local, "", b"short")


FULL = Grant("PUT", "a", 1000, WEBM, 1, 2, "name", 1, "0" * 32, 3)
KEYS = [secret_for_objects(SECRET)]


def verify(parameters: list[tuple[str, str]], method: str = "PUT", key: str = "a") -> Grant:
    return verified(method, key, parameters, KEYS, 0)


def parameters_of(grant: Grant = FULL) -> dict[str, str]:
    return signed(grant, KEYS[0])


def test_every_constraint_is_carried() -> None:
    assert set(parameters_of()) == {*PARAMETERS, "sig"}
    assert verify(list(parameters_of().items())) == FULL


@pytest.mark.parametrize("name", PARAMETERS)
def test_attack_a_constraint_is_changed(name: str) -> None:
    changed = parameters_of() | {name: "4" if parameters_of()[name].isdigit() else "other"}
    with pytest.raises(LinkInvalid):
        verify(list(changed.items()))


@pytest.mark.parametrize("name", [*PARAMETERS, "sig"])
def test_attack_a_constraint_is_left_out(name: str) -> None:
    fewer = parameters_of()
    del fewer[name]
    with pytest.raises(LinkInvalid):
        verify(list(fewer.items()))


@pytest.mark.parametrize("name", [*PARAMETERS, "sig"])
@pytest.mark.parametrize("first", [True, False])
def test_attack_a_constraint_is_said_twice(name: str, first: bool) -> None:
    said = list(parameters_of().items())
    said.insert(0 if first else len(said), (name, "2"))
    with pytest.raises(LinkInvalid):
        verify(said)


def test_attack_a_value_is_moved_to_another_constraint() -> None:
    said = parameters_of(Grant("PUT", "a", 1000, content_type="x", file_name=""))
    said["name"] = said.pop("type")
    with pytest.raises(LinkInvalid):
        verify(list(said.items()))
    said = parameters_of(Grant("PUT", "a", 1000, smallest=5))
    said["largest"] = said.pop("smallest")
    with pytest.raises(LinkInvalid):
        verify(list(said.items()))


def test_attack_part_of_the_key_is_moved_into_a_constraint() -> None:
    said = list(parameters_of(Grant("GET", 'a", 1000, "b', 1000)).items())
    with pytest.raises(LinkInvalid):
        verify([*said, ("type", "b")], "GET", "a")


def test_attack_a_character_is_written_as_two_halves() -> None:
    said = list(parameters_of(Grant("GET", "🎥", 1000)).items())
    assert verify(said, "GET", "🎥")
    with pytest.raises(LinkInvalid):
        verify(said, "GET", "\ud83c\udfa5")


def test_attack_the_end_of_the_key_becomes_the_beginning_of_a_later_expiry() -> None:
    said = parameters_of(Grant("GET", "a1", 1000))
    with pytest.raises(LinkInvalid):
        verify(list((said | {"expires": "11000"}).items()), "GET", "a")


@pytest.mark.parametrize("text", ["01", "+1", " 1", "1 ", "1_0", "١", "1.0", "-1", "9" * 5000])
def test_attack_a_number_is_written_in_another_way(text: str) -> None:
    for name in ("expires", "smallest", "largest", "part"):
        with pytest.raises(LinkInvalid):
            verify(list((parameters_of() | {name: text}).items()))


@pytest.mark.parametrize("mac", ["", "0" * 64, "é" * 64, "\udc80" * 64, "A" * 64, "0" * 63])
def test_attack_a_signature_is_made_up(mac: str) -> None:
    with pytest.raises(LinkInvalid):
        verify(list((parameters_of() | {"sig": mac}).items()))


def test_attack_an_unknown_parameter() -> None:
    with pytest.raises(LinkInvalid):
        verify([*parameters_of().items(), ("utm_source", "x")])


async def test_attack_another_method(signer: LocalSigner) -> None:
    reading, writing = await signer.sign_get("a", LIFE), await signer.sign_put("a", LIFE, WEBM)
    form = await signer.sign_post("a", LIFE, WEBM, largest=5 << 30)
    for request, method in ((reading, "PUT"), (writing, "GET"), (reading, "POST")):
        with pytest.raises(LinkInvalid):
            opened(signer, request, method)
    for method in ("DELETE", "PATCH", "get"):
        with pytest.raises(LinkInvalid):
            opened(signer, reading, method)
    fields = dict(form.fields)
    key, content_type = fields.pop("key"), fields.pop("Content-Type")
    with pytest.raises(LinkInvalid):
        signer.verify("PUT", key, [("type", content_type), *fields.items()])


async def test_attack_another_key(signer: LocalSigner) -> None:
    url = urlsplit((await signer.sign_get("a/b", LIFE)).url)
    for key in ("a/c", "a", "a/b/", "a//b", "../a/b", "a/b\0", "a/B", ""):
        with pytest.raises(LinkInvalid):
            signer.verify("GET", key, parse_qsl(url.query))


async def test_attack_a_link_of_another_server(local: LocalStore, signer: LocalSigner) -> None:
    with pytest.raises(LinkInvalid):
        opened(signer, await LocalSigner(local, "", OTHER_SECRET).sign_get("a", LIFE))


@pytest.mark.parametrize(
    "key", ["../a", "a/../../b", "/etc/passwd", "a\0b", "", ".incoming/a", "a\\b"]
)
async def test_attack_a_link_to_no_key_is_not_signed(signer: LocalSigner, key: str) -> None:
    for sign in (
        signer.sign_get(key, LIFE),
        signer.sign_put(key, LIFE, WEBM),
        signer.sign_post(key, LIFE, WEBM, largest=1),
        signer.begin(key, WEBM),
        signer.sign_part(key, "0" * 32, 1, LIFE),
        signer.complete(key, "0" * 32, [Part(1, "0" * 64)]),
        signer.abort(key, "0" * 32),
    ):
        with pytest.raises(BadKey):
            await sign


@given(
    key=st.text(),
    content_type=st.text(),
    name=st.text(),
    upload_id=st.text(),
    sizes=st.tuples(st.integers(0, 10**15), st.integers(0, 10**15)),
    part=st.integers(0, 10**15),
)
def test_any_grant_is_carried_whole(
    key: str, content_type: str, name: str, upload_id: str, sizes: tuple[int, int], part: int
) -> None:
    grant = Grant("PUT", key, 1000, content_type, *sizes, name, 0, upload_id, part)
    assert verify(list(signed(grant, KEYS[0]).items()), key=key) == grant


@given(method=st.text(), key=st.text(), said=st.lists(st.tuples(st.text(), st.text())))
def test_any_other_parameters_are_refused(
    method: str, key: str, said: list[tuple[str, str]]
) -> None:
    with pytest.raises(LinkInvalid):
        verify(said, method, key)


# --- crashes --------------------------------------------------------------------------------------


def test_errors_have_stable_codes_of_their_own() -> None:
    kinds: list[type[StorageError]] = [BadParts, LinkInvalid, LinkExpired]
    assert [kind.code for kind in kinds] == ["bad_parts", "link_invalid", "link_expired"]
