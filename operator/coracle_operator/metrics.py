"""The operator's own metrics, as Prometheus scrapes them."""

from __future__ import annotations

from collections.abc import Hashable

from prometheus_client import Counter, Gauge, Histogram

reconciles = Counter("coracle_operator_reconciles", "Reconciliations ended.", ["kind", "outcome"])
durations = Histogram(
    "coracle_operator_reconcile_seconds",
    "How long a reconciliation takes.",
    ["kind"],
    buckets=(0.001, 0.01, 0.1, 0.5, 1, 5, 30),
)
queue_depth = Gauge("coracle_operator_queue_depth", "Resources that wait to be reconciled.")
busy = Gauge("coracle_operator_queue_busy", "Resources that are being reconciled.")
requests = Counter(
    "coracle_operator_api_requests", "Requests to the API server.", ["verb", "resource"]
)
request_errors = Counter(
    "coracle_operator_api_errors",
    "Requests to the API server that failed; code is none when there was no answer.",
    ["verb", "code"],
)
resources = Gauge("coracle_operator_resources", "Custom resources known.", ["kind", "ready"])


class Observer:
    """Tells the metrics how the work goes."""

    def worked(self, key: Hashable, seconds: float, failed: bool) -> None:
        """One reconciliation ended."""
        kind = getattr(getattr(key, "kind", None), "name", "")
        reconciles.labels(kind, "failed" if failed else "done").inc()
        durations.labels(kind).observe(seconds)
