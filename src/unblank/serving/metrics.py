"""What `/metrics` shows to Prometheus: requests, and what the engines are doing."""

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from unblank.serving.service import Service

__all__ = ["Metrics"]

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""Bounds of the histogram of durations."""

_GAUGES = {
    "waiting": "Tasks that wait for a place.",
    "rows": "Rows of the cache that are reserved; all beams of a text share two.",
    "reserved_tokens": "Tokens of the cache of keys and values that are reserved.",
}
_COUNTERS = {
    "steps": "Steps decoded.",
    "tokens": "Tokens chosen.",
    "finished": "Tasks finished, cancelled ones included.",
    "failed": "Tasks that ended by an error of the engine.",
}


class Metrics:
    """Counts what a server does; every server has its own registry.

    Args:
        service: whose engines are looked at when Prometheus asks.
    """

    def __init__(self, service: Service) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_Engines(service))
        self._requests = Counter(
            "unblank_requests",
            "Requests by endpoint and status; 499: the client went away.",
            ("path", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "unblank_request_seconds",
            "Seconds from the first byte of a request to the last of its response.",
            ("path",),
            buckets=_SECONDS,
            registry=self._registry,
        )

    def note_request(self, scope: Mapping[str, Any], status: int, seconds: float) -> None:
        """Count a request."""
        # Any path may be asked for; only those of endpoints become labels.
        path = getattr(scope.get("route"), "path", "other")
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """Return all in Prometheus's text format."""
        return generate_latest(self._registry)


class _Engines:
    """Reads the figures of the engines."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        figures = {name: model.engine.figures for name, model in self._service.models.items()}
        kinds = ((_GAUGES, GaugeMetricFamily), (_COUNTERS, CounterMetricFamily))
        for texts, kind in kinds:
            for name, text in texts.items():
                family = kind(f"unblank_engine_{name}", text, labels=["model"])
                for model, values in figures.items():
                    family.add_metric([model], getattr(values, name))
                yield family
