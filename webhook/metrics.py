"""The receiver's Prometheus metrics, served at GET /metrics."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

DELIVERIES = Counter("webhook_deliveries_total", "Deliveries answered, by status code.", ["status"])
BATCH_SIZE = Histogram(
    "webhook_batch_size", "Deliveries that shared a commit.", buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
