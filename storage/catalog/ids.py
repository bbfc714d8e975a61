"""Ids of rows: a prefix that says what it is, and 96 random bits in 16 URL-safe characters."""

from __future__ import annotations

import secrets

RANDOM_BYTES = 12


def new_recording_id() -> str:
    return "RC_" + secrets.token_urlsafe(RANDOM_BYTES)


def new_call_id() -> str:
    return "CA_" + secrets.token_urlsafe(RANDOM_BYTES)


def new_render_id() -> str:
    return "RN_" + secrets.token_urlsafe(RANDOM_BYTES)


def new_webhook_id() -> str:
    return "EV_" + secrets.token_urlsafe(RANDOM_BYTES)


def new_file_id() -> str:
    return "FI_" + secrets.token_urlsafe(RANDOM_BYTES)


def new_chunk_set_id() -> str:
    return "CS_" + secrets.token_urlsafe(RANDOM_BYTES)


def new_upload_id() -> str:
    return "UP_" + secrets.token_urlsafe(RANDOM_BYTES)


def new_media_id() -> str:
    return "MF_" + secrets.token_urlsafe(RANDOM_BYTES)
