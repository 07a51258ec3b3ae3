"""Many at the door at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from service.client import Client

_CLIENTS = 50


def test_many_who_submit_the_same_at_once_get_one_sweep(
    url: str, client: Client, small_spec: dict[str, Any]
) -> None:
    labels = {"test": "at once"}

    def submit(number: int) -> httpx.Response:
        spec = small_spec | {"seed": 60, "name": f"by {number}", "labels": labels, "priority": number % 3}
        return httpx.post(f"{url}/v1/sweeps", json=spec, trust_env=False, timeout=60)

    with ThreadPoolExecutor(_CLIENTS) as pool:
        answers = list(pool.map(submit, range(_CLIENTS)))
    assert sorted(answer.status_code for answer in answers) == [200] * (_CLIENTS - 1) + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    (info,) = client.sweeps(label="test:at once")
    assert info.priority in (0, 1, 2)
    info = client.sweep(info.id).wait(timeout=120)
    assert info.progress.realizations == 6 * small_spec["realizations"]


def test_of_many_different_submissions_at_once_none_is_lost(
    url: str, client: Client, small_spec: dict[str, Any]
) -> None:
    def submit(number: int) -> httpx.Response:
        spec = small_spec | {"seed": 1000 + number // 2, "labels": {"test": "lost"}}
        return httpx.post(f"{url}/v1/sweeps", json=spec, trust_env=False, timeout=60)

    with ThreadPoolExecutor(_CLIENTS) as pool:
        answers = list(pool.map(submit, range(_CLIENTS)))
    half = _CLIENTS // 2
    assert sorted(answer.status_code for answer in answers) == [200] * half + [201] * half
    listed = list(client.sweeps(label="test:lost"))
    assert {info.id for info in listed} == {answer.json()["id"] for answer in answers}
    assert len(listed) == half
    for info in listed:
        root = client.request("GET", f"/v1/sweeps/{info.id}/zarr/zarr.json").json()
        assert root["attributes"]["sweep_id"] == info.id
        client.sweep(info.id).delete()
    assert not list(client.sweeps(label="test:lost"))


def test_many_who_delete_the_same_at_once_get_one_answer(
    url: str, client: Client, small_spec: dict[str, Any]
) -> None:
    sweep = client.submit(small_spec | {"seed": 61, "realizations": 10**6})

    def delete(_: int) -> int:
        return httpx.delete(f"{url}/v1/sweeps/{sweep.id}", trust_env=False, timeout=60).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(delete, range(8))) == [204] + [404] * 7
    assert sweep.id not in {info.id for info in client.sweeps()}


def test_a_sweep_that_is_gone_takes_no_command(
    http: httpx.Client, client: Client, small_spec: dict[str, Any]
) -> None:
    sweep = client.submit(small_spec | {"seed": 62})
    sweep.delete()
    for method, path in (
        ("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/cancel"),
        ("GET", "/export"), ("GET", "/zarr/zarr.json"), ("GET", "/data"), ("GET", "/plot"),
    ):  # fmt: skip
        answer = http.request(method, f"/v1/sweeps/{sweep.id}{path}")
        assert answer.status_code == 404, path
        assert answer.json()["errors"] == [
            {"field": "id", "got": f"'{sweep.id}'", "takes": "the id of a sweep: GET /v1/sweeps"}
        ]


def test_the_last_priority_given_counts(client: Client, small_spec: dict[str, Any]) -> None:
    spec = small_spec | {"seed": 63}
    sweep = client.submit(spec | {"priority": 7})
    assert sweep.status().priority == 7
    assert client.submit(spec | {"priority": -7}).id == sweep.id
    assert client.submit(spec).status().priority == -7


@pytest.mark.parametrize("priority", [101, -101, 1.5, "high"])
def test_a_priority_out_of_range_is_refused(
    http: httpx.Client, small_spec: dict[str, Any], priority: object
) -> None:
    answer = http.post("/v1/sweeps", json=small_spec | {"priority": priority})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["takes"] == "a whole number −100…100: higher goes first"
