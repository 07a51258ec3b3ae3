from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy.orm import Session

from service.client import Client, Sweep
from service.models import Estimate, SweepInfo
from sweeps.ledger import Ledger


def test_submitting_twice_gives_the_same_sweep(http: httpx.Client, small_spec: dict[str, Any]) -> None:
    spec = small_spec | {"seed": 2}
    first = http.post("/v1/sweeps", json=spec)
    again = http.post("/v1/sweeps", json=spec | {"name": "another name", "labels": {}})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.headers["location"] == again.headers["location"] == first.json()["links"]["self"]
    assert http.get(first.headers["location"]).json()["id"] == again.json()["id"]


def test_answer_has_what_the_interface_promises(
    http: httpx.Client, sweep: Sweep, small_spec: dict[str, Any]
) -> None:
    answer = http.get(f"/v1/sweeps/{sweep.id}").json()
    assert set(answer) == {
        "id", "name", "labels", "state", "progress", "created", "started", "finished", "error", "spec",
        "links", "priority", "failures", "machines",
    }  # fmt: skip
    assert set(answer["progress"]) == {
        "blocks_done", "blocks_total", "cells_done", "cells_total", "realizations", "fraction",
        "eta_seconds", "cells_failed",
    }  # fmt: skip
    assert set(answer["links"]) == {"self", "events", "zarr", "data", "plot", "dashboard"}
    assert (answer["name"], answer["labels"]) == (small_spec["name"], small_spec["labels"])
    assert answer["state"] == "succeeded"
    progress = SweepInfo.model_validate(answer).progress
    assert (progress.cells_done, progress.cells_total, progress.fraction) == (6, 6, 1.0)
    assert progress.realizations == 6 * small_spec["realizations"]
    assert progress.blocks_done == progress.blocks_total


def _ids(http: httpx.Client) -> list[str]:
    return [info["id"] for info in http.get("/v1/sweeps").json()["sweeps"]]


def test_dry_run_counts_and_stores_nothing(http: httpx.Client, small_spec: dict[str, Any]) -> None:
    before = _ids(http)
    answer = http.post("/v1/sweeps", params={"dry_run": True}, json=small_spec | {"seed": 3})
    assert answer.status_code == 200
    estimate = Estimate.model_validate_json(answer.content)
    assert estimate.cells == 6
    assert estimate.blocks >= 6
    assert estimate.bytes > 0
    assert estimate.cpu_seconds > 0
    assert _ids(http) == before


def test_list_is_paged_newest_first(http: httpx.Client, client: Client, small_spec: dict[str, Any]) -> None:
    labels = {"suite": "paging"}
    made = [client.submit(small_spec | {"seed": 100 + k, "labels": labels}).id for k in range(3)]
    seen: list[str] = []
    parameters = {"label": "suite:paging", "limit": "2"}
    while True:
        page = http.get("/v1/sweeps", params=parameters).json()
        seen += [info["id"] for info in page["sweeps"]]
        if page["next"] is None:
            break
        parameters["cursor"] = page["next"]
    assert seen == made[::-1]
    assert [info.id for info in client.sweeps(label="suite:paging")] == seen
    assert list(client.sweeps(label="suite:none")) == []


def test_list_by_state(client: Client, sweep: Sweep) -> None:
    assert sweep.id in [info.id for info in client.sweeps(state="succeeded")]
    assert sweep.id not in [info.id for info in client.sweeps(state="failed")]


@pytest.mark.parametrize(
    ("action", "takes"),
    [
        ("cancel", "queued or running or paused"),
        ("pause", "queued or running"),
        ("resume", "paused or failed"),
    ],
)
def test_a_finished_sweep_takes_no_action(http: httpx.Client, sweep: Sweep, action: str, takes: str) -> None:
    answer = http.post(f"/v1/sweeps/{sweep.id}/{action}")
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0] == {"field": "state", "got": "succeeded", "takes": takes}


def test_a_cancelled_sweep_is_not_resumed_but_submitted_again(
    http: httpx.Client, client: Client, small_spec: dict[str, Any]
) -> None:
    sweep = client.submit(small_spec | {"seed": 5, "dimension": 512, "realizations": 10**6})
    sweep.cancel()
    answer = http.post(f"/v1/sweeps/{sweep.id}/resume")
    assert answer.status_code == 409
    assert answer.json()["errors"][0]["takes"] == "paused or failed: submit it again"


def test_delete_removes_it(http: httpx.Client, client: Client, small_spec: dict[str, Any]) -> None:
    sweep = client.submit(small_spec | {"seed": 4})
    sweep.wait(timeout=60)
    answer = http.delete(f"/v1/sweeps/{sweep.id}")
    assert (answer.status_code, answer.content) == (204, b"")
    for path in ("", "/zarr/zarr.json", "/data"):
        assert http.get(f"/v1/sweeps/{sweep.id}{path}").status_code == 404


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/v1/cluster", "/v1/sweeps", "/"])
def test_head_is_get_without_a_body(http: httpx.Client, sweep: Sweep, path: str) -> None:
    head, get = http.head(path), http.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-type"] == get.headers["content-type"]


def test_health_readiness_and_cluster(http: httpx.Client, client: Client, sweep: Sweep) -> None:
    assert http.get("/healthz").json()["status"] == "ok"
    ready = http.get("/readyz")
    assert ready.status_code == 200, ready.text
    assert {"store", "database", "scheduler"} <= set(ready.json()["checks"])
    cluster = client.cluster()
    assert len(cluster.workers) == 1
    assert cluster.threads == sum(worker.threads for worker in cluster.workers)
    assert cluster.dashboard is not None
    assert sweep.status().links.dashboard == cluster.dashboard
    assert http.get(cluster.dashboard, follow_redirects=True).status_code == 200


@pytest.mark.parametrize("declared", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_a_body_that_is_not_declared_as_json_is_refused(
    http: httpx.Client, small_spec: dict[str, Any], declared: str
) -> None:
    answer = http.post(
        "/v1/sweeps", content=json.dumps(small_spec | {"seed": 99}), headers={"content-type": declared}
    )
    assert answer.status_code == 415
    assert answer.json()["errors"][0]["field"] == "content-type"


def test_a_misspelt_parameter_is_refused(http: httpx.Client, small_spec: dict[str, Any]) -> None:
    for answer in (
        http.post("/v1/sweeps?dryrun=true", json=small_spec | {"seed": 98}),
        http.get("/v1/sweeps?lable=a:b"),
    ):
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["takes"] == "no such parameter"
    assert all(sweep["spec"]["seed"] != 98 for sweep in http.get("/v1/sweeps").json()["sweeps"])


def test_a_database_that_hangs_holds_up_only_those_who_ask_it(
    http: httpx.Client, sweep: Sweep, small_spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep.status()
    asked, answered = threading.Semaphore(0), threading.Event()
    transaction = Ledger._transaction  # noqa: SLF001 - the one way to the database

    @contextmanager
    def hanging(ledger: Ledger) -> Iterator[Session]:
        asked.release()
        answered.wait()
        with transaction(ledger) as session:
            yield session

    paths = ["/", "/metrics", "/v1/sweeps", "/v1/sweeps?text=x"]
    paths += [f"/v1/sweeps/unknown{rest}" for rest in ("", "/events", "/zarr/zarr.json", "/data", "/export")]
    monkeypatch.setattr(Ledger, "_transaction", hanging)
    with ThreadPoolExecutor(len(paths)) as pool:
        try:
            answers = [pool.submit(http.get, path) for path in paths]
            for _ in paths:
                assert asked.acquire(timeout=60)
            assert http.get("/healthz").status_code == 200
            assert http.get(f"/v1/sweeps/{sweep.id}").json()["state"] == "succeeded"
        finally:
            monkeypatch.undo()
            answered.set()
        assert [answer.result().status_code for answer in answers] == [200] * 4 + [404] * 5


def test_submissions_that_wait_leave_the_threads_to_others(
    http: httpx.Client, url: str, sweep: Sweep, small_spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, going = threading.Event(), threading.Event()
    add = Ledger.add

    def slow(ledger: Ledger, *arguments: Any, **options: Any) -> bool:
        entered.set()
        going.wait()
        return add(ledger, *arguments, **options)

    monkeypatch.setattr(Ledger, "add", slow)
    specs = [small_spec | {"seed": 900 + number, "realizations": 10} for number in range(50)]
    with ThreadPoolExecutor(len(specs)) as pool, Client(url) as client:
        try:
            submitted = [pool.submit(client.submit, spec) for spec in specs]
            assert entered.wait(60)
            assert http.get("/v1/sweeps").status_code == 200
            assert http.get(f"/v1/sweeps/{sweep.id}/zarr/zarr.json").status_code == 200
        finally:
            going.set()
        for each in submitted:
            each.result().delete()
