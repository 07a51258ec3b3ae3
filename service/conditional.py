"""Answers that need not be sent again: entity tags, and what a client says it has (RFC 9110 §13).

Tags are weak: what is the same may come compressed or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from fastapi import Request, Response
from pydantic import BaseModel


def etag(*parts: object) -> str:
    """A weak tag for what is a function of ``parts``, each of which prints in one way."""
    return f'W/"{blake2b(repr(parts).encode(), digest_size=12).hexdigest()}"'


def headers(tag: str, vary: Sequence[str] = ()) -> dict[str, str]:
    """Headers of an answer with this tag, which caches ask about each time before they use it.

    vary: request headers that the answer depends on, besides Accept-Encoding.
    """
    return {"ETag": tag, "Cache-Control": "no-cache", "Vary": ", ".join([*vary, "Accept-Encoding"])}


def is_known(request: Request, tag: str) -> bool:
    """Whether the client has what ``tag`` stands for, by weak comparison; ``*`` has anything."""
    known = ",".join(request.headers.getlist("if-none-match"))
    tags = {text.strip().removeprefix("W/") for text in known.split(",")}
    return "*" in tags or tag.removeprefix("W/") in tags


def not_modified(tag: str, vary: Sequence[str] = ()) -> Response:
    """304 in place of the answer with this tag."""
    return Response(status_code=304, headers=headers(tag, vary))


def json_answer(request: Request, model: BaseModel) -> Response:
    """``model`` as JSON with a tag of its content; 304 where the client has it."""
    content = model.model_dump_json(by_alias=True)
    tag = etag(content)
    if is_known(request, tag):
        return not_modified(tag)
    return Response(content, headers=headers(tag), media_type="application/json")
