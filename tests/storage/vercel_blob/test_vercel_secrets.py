"""Vercel Blob: its token is told to nobody."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from storage.errors import (
    CredentialsRefused,
    EndpointWrong,
    StorageError,
)
from storage.objects.vercel_blob import VercelBlobStore
from tests.rig.faults import Answer, CutAnswer, FaultProxy, LoseAnswer
from tests.rig.vercel import VercelRig
from tests.storage.contents import WEBM, Put, keys, read, streamed
from tests.storage.vercel_blob.opening import HOUR, SECRET, STRANGER, error_answer, opened, url_of


def every_call(store: VercelBlobStore, path: Path) -> dict[str, Callable[[], Awaitable[object]]]:
    return {
        "check": store.check,
        "head": lambda: store.head("a"),
        "digest": lambda: store.digest("a"),
        "read": lambda: read(store, "a"),
        "list": lambda: keys(store),
        "put": lambda: store.put_stream("a", streamed(b"evil"), WEBM),
        "put in parts": lambda: store.put_file("a", path, WEBM),
        "copy": lambda: store.copy("a", "b"),
        "delete": lambda: store.delete("a"),
        "sign get": lambda: store.sign_get("a", HOUR),
        "sign put": lambda: store.sign_put("a", HOUR, WEBM),
        "begin": lambda: store.begin("a", WEBM),
    }


async def test_a_wrong_token_is_refused_everywhere_and_told_to_nobody(
    rig: VercelRig,
    put: Put,
    store: VercelBlobStore,
    large_file: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await put("a", b"right")
    caplog.set_level(logging.DEBUG)
    async with opened(STRANGER, rig.api_url) as stranger:
        for name, call in every_call(stranger, large_file).items():
            with pytest.raises(CredentialsRefused, match="does not accept the token") as refused:
                await call()
            told = "".join(traceback.format_exception(refused.value)) + repr(refused.value)
            assert SECRET not in told, name
        assert SECRET not in repr(stranger) + repr(vars(stranger))
    assert SECRET not in caplog.text
    assert await read(store, "a") == b"right"


async def test_what_the_store_or_the_network_says_is_not_passed_on(
    proxy: FaultProxy, large_file: Path
) -> None:
    async with opened(STRANGER, proxy.url) as store:
        for fault in (error_answer(400, "bad_request"), Answer(302), CutAnswer(1), LoseAnswer()):
            proxy.schedule = lambda _, fault=fault: fault
            for name, call in every_call(store, large_file).items():
                with pytest.raises(StorageError) as failed:
                    await call()
                told = "".join(traceback.format_exception(failed.value)) + repr(failed.value)
                assert SECRET not in told, (name, fault)


async def test_a_redirect_does_not_take_the_token_to_another_host(rig: VercelRig) -> None:
    heard: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 307 Elsewhere\r\nLocation: {url_of(listening)}/\r\nContent-Length: 0"
        writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode())
        writer.close()

    async with (
        await asyncio.start_server(elsewhere, "127.0.0.1", 0) as listening,
        await asyncio.start_server(redirect, "127.0.0.1", 0) as redirecting,
        opened(rig.token, url_of(redirecting)) as store,
    ):
        for call in (store.check, partial(keys, store), partial(read, store, "a")):
            with pytest.raises(EndpointWrong):
                await call()
    assert heard == []


async def test_a_public_object_is_read_without_the_token(rig: VercelRig, proxy: FaultProxy) -> None:
    async with opened(rig.token, proxy.url, access="public") as store:
        await store.put_stream("a", streamed(b"content"), WEBM)
        proxy.forget()
        assert await read(store, "a") == b"content"
    (request,) = proxy.requests
    assert "authorization" not in request.headers
