from __future__ import annotations

import threading
import time

from sweeps.door import Door


def _work() -> None:
    begin = time.thread_time()
    while time.thread_time() < begin + 0.02:
        pass


def test_nobody_is_waited_for_where_nobody_is_inside() -> None:
    door = Door()
    with door.entered():
        pass
    _work()
    door.give_way()


def test_whoever_stays_inside_does_not_stop_the_background() -> None:
    door = Door()
    with door.entered():
        _work()
        door.give_way()
        door.give_way()


def test_the_background_goes_on_once_the_last_has_left() -> None:
    door = Door()
    inside, leave = threading.Barrier(3), threading.Event()

    def visit() -> None:
        with door.entered():
            inside.wait()
            leave.wait()

    visitors = [threading.Thread(target=visit) for _ in range(2)]
    for visitor in visitors:
        visitor.start()
    inside.wait()
    _work()
    leave.set()
    door.give_way()
    for visitor in visitors:
        visitor.join()
    door.give_way()
