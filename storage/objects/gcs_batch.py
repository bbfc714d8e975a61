"""Many deletes in one request ("Sending batch requests" in the documentation of Cloud Storage).

The answers come in the order of the calls, each an HTTP answer of its own.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterator, Sequence
from email.parser import BytesParser
from typing import Final

import requests

from storage.errors import EndpointWrong, ObjectNotFound, StorageError
from storage.objects.gcs_bucket import JSON_API, Bucket, Call
from storage.objects.gcs_errors import refusal_of, refused

CALLS_AT_ONCE: Final = 100
_STATUS = re.compile(r"HTTP/\d(?:\.\d)? (\d{3})\b")


def batched(keys: Collection[str]) -> Iterator[Sequence[str]]:
    ordered = list(keys)
    for first in range(0, len(ordered), CALLS_AT_ONCE):
        yield ordered[first : first + CALLS_AT_ONCE]


async def delete_batch(bucket: Bucket, keys: Sequence[str]) -> None:
    """Remove objects, once. Raises the worst that was said of any of them."""
    boundary = secrets.token_hex(16)
    calls = "".join(
        f"--{boundary}\r\nContent-Type: application/http\r\n\r\n"
        f"DELETE {JSON_API}{bucket.object_path(key)} HTTP/1.1\r\n\r\n\r\n"
        for key in keys
    )
    call = Call(
        "POST",
        bucket.batch_url,
        f"delete {len(keys)} objects",
        headers={"Content-Type": f"multipart/mixed; boundary={boundary}"},
        body=f"{calls}--{boundary}--\r\n".encode(),
    )
    answers = list(_answers(await bucket.once(call)))
    if len(answers) != len(keys):
        raise EndpointWrong(f"{bucket.place} could not {call.doing}: it does not answer each call")
    failures = [
        refused(bucket.place, call.doing, key, refusal_of(status, {}, body))
        for key, (status, body) in zip(keys, answers, strict=True)
        if not 200 <= status < 300
    ]
    if worst := _worst(failures):
        raise worst


def _answers(answer: requests.Response) -> Iterator[tuple[int, bytes]]:
    """Status and body of each."""
    head = f"Content-Type: {answer.headers.get('Content-Type', '')}\r\n\r\n"
    message = BytesParser().parsebytes(head.encode() + answer.content)
    for part in message.walk():
        inner = part.get_payload()
        if isinstance(inner, str) and (found := _STATUS.match(inner.lstrip())):
            yield int(found[1]), inner.encode(errors="replace")


def _worst(failures: Sequence[StorageError]) -> StorageError | None:
    """One that won't pass before one that will."""
    real = [failure for failure in failures if not isinstance(failure, ObjectNotFound)]
    return min(real, key=lambda failure: getattr(failure, "passing", False), default=None)
