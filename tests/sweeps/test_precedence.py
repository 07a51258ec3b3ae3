from __future__ import annotations

import threading
import time

from sweeps.precedence import Precedence


def _work() -> None:
    begin = time.thread_time()
    while time.thread_time() < begin + 0.02:
        pass


def test_nobody_is_waited_for_where_nobody_goes_first() -> None:
    precedence = Precedence()
    with precedence.taken():
        pass
    for _ in range(2):
        _work()
        precedence.give_way()


def test_whoever_stays_first_does_not_stop_the_background() -> None:
    precedence = Precedence()
    with precedence.taken():
        for _ in range(3):
            _work()
            precedence.give_way()


def test_the_background_goes_on_once_the_last_has_left() -> None:
    precedence = Precedence()
    inside, leave = threading.Barrier(3), threading.Event()

    def visit() -> None:
        with precedence.taken():
            inside.wait()
            leave.wait()

    visitors = [threading.Thread(target=visit) for _ in range(2)]
    for visitor in visitors:
        visitor.start()
    inside.wait()
    precedence.give_way()
    _work()
    leave.set()
    precedence.give_way()
    for visitor in visitors:
        visitor.join()
    precedence.give_way()
