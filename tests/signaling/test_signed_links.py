"""Signed links: one path, until they expire, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from signaling.errors import Unauthorized
from signaling.links import LinkSigner

PATH = "/api/v1/recordings/RC_1/files/FI_1"
LIFE = timedelta(minutes=10)


def signer(now: float = 1000.0, **keys: str) -> LinkSigner:
    return LinkSigner(keys or {"key": "s" * 32}, clock=lambda: now)


def signature(link: str) -> str:
    return link.partition("?sig=")[2]


def refusal(verifier: LinkSigner, path: str, text: str) -> str:
    with pytest.raises(Unauthorized) as refused:
        verifier.verify(path, text)
    return refused.value.code


def test_a_link_opens_its_path_until_it_expires() -> None:
    sig = signature(signer().sign(PATH, LIFE))
    signer(now=1599).verify(PATH, sig)
    assert refusal(signer(now=1600), PATH, sig) == "link_expired"


def test_attack_another_path() -> None:
    sig = signature(signer().sign(PATH, LIFE))
    assert refusal(signer(), PATH.replace("FI_1", "FI_2"), sig) == "link_invalid"


def test_attack_a_later_expiry() -> None:
    _, _, mac = signature(signer().sign(PATH, LIFE)).partition(".")
    assert refusal(signer(), PATH, f"9999999999.{mac}") == "link_invalid"


def test_attack_another_secret() -> None:
    sig = signature(signer(key="t" * 32).sign(PATH, LIFE))
    assert refusal(signer(), PATH, sig) == "link_invalid"


@pytest.mark.parametrize("text", ["", ".", "x.y", "1600", "١٦٠٠.aa", "1600.é", "9" * 5000 + ".a"])
def test_attack_nonsense(text: str) -> None:
    assert refusal(signer(), PATH, text) == "link_invalid"


def test_links_of_every_key_are_good() -> None:
    sig = signature(signer(old="o" * 32).sign(PATH, LIFE))
    signer(new="n" * 32, old="o" * 32).verify(PATH, sig)
