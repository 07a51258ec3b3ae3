"""Calls to a cluster that is not there: whoever waits for one is told in the end."""

from __future__ import annotations

import os

import pytest

from sweeps.dispatcher import Dispatcher
from sweeps.errors import ClusterLost


def test_no_call_waits_for_ever() -> None:
    dispatcher = Dispatcher("nowhere://", None)
    early = dispatcher.call(os.getpid)
    assert not early.done()
    dispatcher.close()
    for call in (early, dispatcher.call(os.getpid)):
        with pytest.raises(ClusterLost):
            call.result(timeout=0)
