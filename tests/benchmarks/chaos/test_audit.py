from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.chaos.audit import Audit, Span, read

_SPANS = st.lists(
    st.builds(
        lambda cell, start, size: Span(cell, start, size, 0.5 * size),
        st.sampled_from("ab"),
        st.integers(0, 20),
        st.integers(1, 10),
    ),
    max_size=12,
).map(tuple)


@given(_SPANS)
def test_what_is_done_again_is_counted_once_for_every_time(spans: tuple[Span, ...]) -> None:
    audit = Audit(begun=spans, ended=spans, stored=spans, tasks=())
    done = [(span.cell, number) for span in spans for number in range(span.start, span.start + span.size)]
    again = len(done) - len(set(done))
    assert audit.realizations == len(set(done))
    assert audit.stored_twice == again
    realizations, seconds = audit.repeated
    assert realizations == again
    assert abs(seconds - 0.5 * again) < 1e-9


def test_a_torn_line_hides_no_other(tmp_path: Path) -> None:
    event = {"event": "store", "cell": "a", "start": 0, "size": 5, "seconds": 1.0}
    whole = f"\n{json.dumps(event)}\n"
    task = f"\n{json.dumps({'event': 'task', 'seconds': 2.0})}\n"
    record = tmp_path / "record"
    record.write_text(whole + whole[:17] + task + whole[:-3])
    audit = read(record)
    assert audit.stored == (Span("a", 0, 5, 1.0),)
    assert audit.largest_task == 2.0
