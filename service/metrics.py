"""What ``/metrics`` tells Prometheus: requests as they were answered, and the rest as it is when it asks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sweeps.coordinator import Coordinator
from sweeps.errors import LedgerLost

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The metrics of one application, in a registry of their own."""

    def __init__(self, coordinator: Coordinator) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "rqf_requests",
            "Requests answered, by route, method and status.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "rqf_request_seconds",
            "Seconds from a request to the end of its answer, streams of events apart.",
            ["route", "method"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.streams = Gauge("rqf_event_streams", "Streams of events open now.", registry=self.registry)
        self.registry.register(_State(coordinator))
        ProcessCollector(registry=self.registry)


class _State(Collector):
    """Sweeps, work done, cluster, store. What the database would tell is missing while it does not answer."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families, as they are now."""
        yield from self._sweeps()
        counters, cluster = self._coordinator.counters, self._coordinator.cluster()
        yield CounterMetricFamily("rqf_blocks", "Blocks stored since the start.", counters.blocks)
        yield CounterMetricFamily(
            "rqf_realization_steps",
            "Time steps of realisations in the blocks stored since the start, as planned.",
            counters.realization_steps,
        )
        yield CounterMetricFamily(
            "rqf_store_errors",
            "Reads and writes of the store that failed, and checksums that did not hold, since the start.",
            counters.store_errors,
        )
        yield GaugeMetricFamily("rqf_workers", "Workers of the Dask cluster.", len(cluster.workers))
        yield GaugeMetricFamily("rqf_worker_threads", "Threads of all workers.", cluster.threads)

    def _sweeps(self) -> Iterator[Metric]:
        try:
            census = self._coordinator.census()
        except LedgerLost:
            return
        sweeps = GaugeMetricFamily("rqf_sweeps", "Sweeps by state.", labels=["state"])
        for state, count in census.sweeps.items():
            sweeps.add_metric([state], count)
        yield sweeps
        yield GaugeMetricFamily(
            "rqf_queue_age_seconds", "Age of the oldest queued sweep, 0 for none.", census.queue_seconds
        )
