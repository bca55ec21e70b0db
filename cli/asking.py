"""Asking the public API for something as the operator, and saying why it was refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

_SECONDS = 30


class NotMade(Exception):
    """The gateway refused to make something; the message says why."""


def why(document: Mapping[str, Any], status: int) -> str:
    """A problem document in a line: its title, and each field with its rule."""
    rules = "; ".join(f"{e['field']}: {e['message']}" for e in document.get("errors", ()))
    return f"{document.get('title', status)}{f' ({rules})' if rules else ''}"


async def make(url: str, operator_token: str, path: str, body: object) -> Any:
    """Have the gateway at `url` make something; returns its answer, raises `NotMade`."""
    headers = {"Authorization": f"Bearer {operator_token}"}
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    async with (
        aiohttp.ClientSession(headers=headers, timeout=timeout) as client,
        client.post(url + path, json=body) as answer,
    ):
        document = await answer.json(content_type=None)
        if answer.status != 201:
            raise NotMade(why(document, answer.status))
    return document
