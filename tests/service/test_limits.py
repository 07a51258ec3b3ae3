from __future__ import annotations

import pytest

from service import limits
from service.limits import Rate


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("per_second", "at_once"), [(0.01, 1), (0.1, 1), (0.5, 5), (20, 200)])
def test_so_much_at_once_and_then_at_the_rate(per_second: float, at_once: int) -> None:
    clock = _Clock()
    rate = Rate(per_second, clock)
    assert [rate.take("ann") for _ in range(at_once)] == [0.0] * at_once
    for _ in range(3):
        wait = rate.take("ann")
        assert wait == pytest.approx(1 / per_second, rel=0.01)
        clock.now += wait * 1.001
        assert rate.take("ann") == 0.0
    clock.now += 1e6
    assert [rate.take("ann") for _ in range(at_once)] == [0.0] * at_once
    assert rate.take("ann") > 0


def test_who_is_refused_waits_no_longer_for_asking() -> None:
    clock = _Clock()
    rate = Rate(0.1, clock)
    rate.take("ann")
    assert {rate.take("ann") for _ in range(100)} == {10.0}
    assert rate.take("bob") == 0.0


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MOST_KEYS", 3)
    rate = Rate(0.1, _Clock())
    for key in ("ann", "bob", "cid", "ann", "dan"):
        rate.take(key)
    assert rate.take("ann") > 0  # asked later than bob, who is forgotten
    assert rate.take("bob") == 0.0
