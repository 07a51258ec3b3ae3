"""What came back: how many answers of each status by route, and what was wrong with any."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Findings:
    """Answers counted by (route, status), status 0 where there was none; complaints, each with a request."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    complaints: dict[str, str] = field(default_factory=dict)

    def count(self, method: str | None, path: str, status: int) -> None:
        """Note an answer; method None: one that the path is not documented to have."""
        self.answers[f"{path} {method or 'other methods'}", status] += 1

    def complain(self, what: str, request: str) -> None:
        """Note what is wrong, once, with the first request that shows it."""
        self.complaints.setdefault(what, request)

    @property
    def total(self) -> int:
        """All answers."""
        return self.answers.total()

    def by_route(self) -> list[tuple[str, int, str]]:
        """Route, number of answers, and these by status."""
        routes: dict[str, Counter[int]] = {}
        for (route, status), count in self.answers.items():
            routes.setdefault(route, Counter())[status] += count
        return [(route, counts.total(), _told(counts)) for route, counts in sorted(routes.items())]

    def by_status(self) -> str:
        """All answers by status."""
        counts: Counter[int] = Counter()
        for (_, status), count in self.answers.items():
            counts[status] += count
        return _told(counts)


def _told(counts: Counter[int]) -> str:
    return ", ".join(f"{count} × {status or 'none'}" for status, count in sorted(counts.items()))
