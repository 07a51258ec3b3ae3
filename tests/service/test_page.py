"""The web page: what it shows, where it leads, and that what users write in names stays text."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from service.client import Client, Sweep

_NASTY: dict[str, Any] = {
    "name": "<script>alert('&')</script>",
    "labels": {"suite": "page", "<b>": '"x" & y'},
}


class _Page(HTMLParser):
    """Elements of a page, with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, tag: str, attribute: str) -> list[str]:
        return [found[attribute] or "" for name, found in self.elements if name == tag and attribute in found]


def _page(http: httpx.Client, address: str = "/", **parameters: Any) -> _Page:
    answer = http.get(address, params=parameters or None)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return _Page(answer.text)


@pytest.fixture(scope="module")
def nasty(client: Client, small_spec: dict[str, Any]) -> Sweep:
    sweep = client.submit(small_spec | _NASTY | {"seed": 96})
    sweep.wait(timeout=60)
    return sweep


def test_a_sweep_with_all_that_leads_on(http: httpx.Client, sweep: Sweep) -> None:
    page = _page(http, text=sweep.id)
    (shown,) = (found for name, found in page.elements if name == "article")
    assert (shown["id"], shown["data-sweep"], shown["data-state"]) == (
        f"sweep-{sweep.id}",
        sweep.id,
        "succeeded",
    )
    links = sweep.status().links
    assert f'xr.open_zarr("{links.zarr}")' in page.text
    targets = set(page.values("a", "href"))
    assert {links.self_, links.plot, f"{links.self_}/export", links.dashboard} <= targets
    own = [target for target in targets if str(http.base_url) in target]
    for target in [*own, *page.values("img", "src")]:
        assert http.get(target).status_code == 200, target
    assert page.values("progress", "value") == ["1.0000"]
    assert all(page.values("img", "alt"))


def test_names_and_labels_are_text(http: httpx.Client, nasty: Sweep) -> None:
    page = _page(http, text=nasty.id)
    assert _NASTY["name"] in page.text
    assert '<b>:"x" & y' in page.text
    assert sum(name == "script" for name, _ in page.elements) == 1
    (chip,) = (target for target in page.values("a", "href") if "%3Cb%3E" in target)
    assert page.values("article", "id") == _page(http, chip).values("article", "id")


def test_only_what_is_its_own_runs(http: httpx.Client) -> None:
    answer = http.get("/")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    for tag in ("style", "script"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        assert f"{tag}-src 'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'" in policy
    assert not re.search(r" (style|on[a-z]+)=", answer.text)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_pages_follow_each_other(http: httpx.Client, client: Client, small_spec: dict[str, Any]) -> None:
    made = [client.submit(small_spec | {"seed": 61 + k, "labels": {"suite": "older"}}).id for k in range(3)]
    seen, address = [], "/?label=suite:older&limit=2"
    while address:
        page = _page(http, address)
        seen += page.values("article", "data-sweep")
        address = next((found["href"] or "" for _, found in page.elements if found.get("rel") == "next"), "")
    assert seen == made[::-1]


def test_filters_as_the_form_sends_them(http: httpx.Client, sweep: Sweep) -> None:
    everything = _page(http, state="", label="", text="")
    assert sweep.id in everything.values("article", "data-sweep")
    page = _page(http, state="succeeded", label="suite:service", text="SMALL")
    assert sweep.id in page.values("article", "data-sweep")
    assert {"SMALL", "suite:service"} <= set(page.values("input", "value"))
    assert "No sweep is like that" in _page(http, text="no such text").text
    assert http.get("/", params={"state": "sleeping"}).status_code == 422
    assert http.head("/").status_code == 200


def test_thumbnail(http: httpx.Client, sweep: Sweep) -> None:
    answer = http.get(f"/v1/sweeps/{sweep.id}/thumbnail")
    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG")
    known = {"If-None-Match": answer.headers["etag"]}
    again = http.get(f"/v1/sweeps/{sweep.id}/thumbnail", params={"v": "6-succeeded"}, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert http.get("/v1/sweeps/0123456789ab/thumbnail").status_code == 404
