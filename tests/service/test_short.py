from __future__ import annotations

import threading

import anyio
import pytest

from service.short import ShortWork


def test_long_work_is_done_by_threads_for_a_while() -> None:
    now = 0.0
    short = ShortWork(lambda: now)

    def work(seconds: float) -> int:
        nonlocal now
        now += seconds
        return threading.get_ident()

    async def done(seconds: float) -> bool:
        """Whether it was done by the loop itself."""
        return await short.run(work, seconds) == threading.get_ident()

    async def all_of_it() -> None:
        nonlocal now
        assert await done(0.001)
        assert await done(1.0)
        assert not await done(0.001)
        now += 60.0
        assert await done(0.001)

    anyio.run(all_of_it)


def test_what_it_raises_is_raised_also_when_it_took_long() -> None:
    now = 0.0
    short = ShortWork(lambda: now)

    def fail() -> None:
        nonlocal now
        now += 1.0
        raise LookupError("here", threading.get_ident())

    async def twice() -> None:
        for here in (True, False):
            with pytest.raises(LookupError, match="here") as caught:
                await short.run(fail)
            assert (caught.value.args[1] == threading.get_ident()) == here

    anyio.run(twice)
