"""Every private name of a third party that this project leans on, pinned: an upgrade that moves
one fails here, by name, and not in a call."""

from __future__ import annotations

import inspect

import pylibsrtp
import pytest
from aiortc import RTCCertificate, RTCDtlsTransport, RTCSctpTransport
from pylibsrtp._binding import ffi, lib


def test_pylibsrtp_gives_its_handle_and_functions() -> None:
    session = pylibsrtp.Session()
    assert session._srtp[0] != ffi.NULL
    for name in ("srtp_protect", "srtp_unprotect", "srtp_protect_rtcp", "srtp_unprotect_rtcp"):
        assert callable(getattr(lib, name))


def test_libsrtp_can_do_aes_gcm() -> None:
    pylibsrtp.Policy(srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM)


def test_dtls_transport_takes_a_stand_in_for_ice() -> None:
    class Ice:
        role = "controlled"
        state = "completed"

    dtls = RTCDtlsTransport(Ice(), [RTCCertificate.generateCertificate()])  # type: ignore[arg-type]
    dtls._set_role("server")
    for name in ("_ssl", "_rx_srtp", "_tx_srtp"):
        assert getattr(dtls, name) is None
    assert dtls.state == "new"


@pytest.mark.parametrize("name", ["_recv", "_send"])
def test_dtls_transport_uses_only_these_of_ice(name: str) -> None:
    assert f"transport.{name}(" in inspect.getsource(RTCDtlsTransport)


def test_sctp_transport_is_told_by_dtls_who_is_server() -> None:
    assert "transport._role" in inspect.getsource(RTCSctpTransport.is_server.fget)  # type: ignore[attr-defined]
    assert list(inspect.signature(RTCSctpTransport.start).parameters)[1:] == [
        "remoteCaps",
        "remotePort",
    ]
