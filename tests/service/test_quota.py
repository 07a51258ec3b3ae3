"""What one token's sweeps may ask for at a time holds, however many ask at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from sweeps.coordinator import Coordinator
from sweeps.errors import OverQuota
from sweeps.quota import Quota
from sweeps.status import Usage
from tests.service.test_errors import assert_problem

Serve = Callable[..., AbstractContextManager[str]]

#: Six cells that take for ever.
LONG: dict[str, Any] = {
    "dimension": [3, 8],
    "bias": [0.0, 0.1, 1.0],
    "tokens": 2,
    "times": [0.5],
    "step": 1e-5,
    "realizations": 100_000,
}
ANN, BOB = {"Authorization": "Bearer aaa"}, {"Authorization": "Bearer bbb"}


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Iterator[httpx.Client]:
    """A service whose tokens may have three sweeps of twenty cells; no cluster computes them."""
    settings = Settings(
        _env_file=None,
        data=str(tmp_path_factory.mktemp("limited")),
        scheduler="tcp://127.0.0.1:1",
        tokens="ann:submit:aaa,bob:submit:bbb",
        token_max_sweeps=3,
        token_max_cells=20,
        token_max_cpu_hours=1e6,
    )
    coordinator = Coordinator(settings)
    coordinator.start()
    try:
        with (
            serve(create_app(settings, coordinator)) as url,
            httpx.Client(base_url=url, trust_env=False, timeout=60) as http,
        ):
            yield http
    finally:
        coordinator.stop()


def _submit(http: httpx.Client, seed: int, who: dict[str, str], **changes: Any) -> httpx.Response:
    return http.post("/v1/sweeps", json=LONG | {"seed": seed} | changes, headers=who)


def _post(http: httpx.Client, id: str, action: str, who: dict[str, str]) -> httpx.Response:
    return http.post(f"/v1/sweeps/{id}/{action}", headers=who)


def test_of_many_at_once_as_many_as_may_are_let_in(limited: httpx.Client) -> None:
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda seed: _submit(limited, seed, ANN), range(50)))
    taken = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code != 201]
    assert len(taken) == 3
    problem = assert_problem(refused[0], 429)
    assert problem["errors"] == [
        {
            "field": "sweeps",
            "got": "4 with this sweep",
            "takes": "at most 3 at a time (limit token_max_sweeps)",
        },
        {
            "field": "cells",
            "got": "24 with this sweep",
            "takes": "at most 20 at a time (limit token_max_cells)",
        },
    ]
    assert {answer.status_code for answer in refused} == {429}
    # Others have their own, and what is there already is found.
    assert _submit(limited, 100, BOB).status_code == 201
    first = limited.get(f"/v1/sweeps/{taken[0]}", headers=ANN).json()
    assert _submit(limited, first["spec"]["seed"], ANN).status_code == 200

    # A paused one counts on, a cancelled one does not, and is no way in later.
    assert _post(limited, taken[0], "pause", ANN).status_code == 202
    assert_problem(_submit(limited, 200, ANN), 429, "sweeps")
    assert _post(limited, taken[0], "resume", ANN).status_code == 202
    assert _post(limited, taken[0], "cancel", ANN).status_code == 202
    assert _submit(limited, 200, ANN).status_code == 201
    assert_problem(_submit(limited, first["spec"]["seed"], ANN), 429, "sweeps")
    # Neither when somebody else asks for it: it is its owner's.
    assert_problem(_submit(limited, first["spec"]["seed"], BOB), 429, "sweeps")
    assert _post(limited, taken[0], "resume", ANN).status_code == 409
    assert limited.delete(f"/v1/sweeps/{taken[1]}", headers=ANN).status_code == 204
    assert _submit(limited, first["spec"]["seed"], BOB).status_code == 200


def test_cells_are_counted(limited: httpx.Client) -> None:
    bias = [0.1 * n for n in range(1, 12)]
    problem = assert_problem(_submit(limited, 300, BOB, bias=bias), 429)
    assert [error["field"] for error in problem["errors"]] == ["cells"]
    answer = limited.post("/v1/sweeps?dry_run=true", json=LONG | {"bias": bias}, headers=BOB)
    assert answer.status_code == 200


def test_what_a_quota_takes() -> None:
    quota = Quota(max_sweeps=2, max_cpu_hours=1.5)
    quota.check(Usage(2, 10**9, 5400.0))
    for asked, fields in ((Usage(3, 0, 0.0), ["sweeps"]), (Usage(3, 0, 5401.0), ["sweeps", "cpu_hours"])):
        with pytest.raises(OverQuota) as caught:
            quota.check(asked)
        assert [problem.field for problem in caught.value.problems] == fields
    Quota().check(Usage(10**9, 10**9, 1e99))


def test_probes_that_need_no_token_are_told_no_details(limited: httpx.Client) -> None:
    problem = assert_problem(limited.get("/readyz"), 503)
    assert [(error["field"], error["got"]) for error in problem["errors"]] == [
        ("scheduler", "no answer, the log says why")
    ]
