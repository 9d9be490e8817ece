"""What the write path counts, in Prometheus' terms. Every number that an operator can see is declared here and nowhere else."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

REQUESTS: Final = Counter("spanhouse_requests", "Requests acknowledged in full or in part.", ["transport"])
SPANS: Final = Counter("spanhouse_spans", "Spans acknowledged.", ["transport"])
REFUSED_REQUESTS: Final = Counter("spanhouse_refused_requests", "Requests answered with an error.", ["transport", "reason"])
REJECTED_SPANS: Final = Counter("spanhouse_rejected_spans", "Spans left out of an acknowledged request, named in partial_success.", ["reason"])
CUT_VALUES: Final = Counter("spanhouse_cut_values", "Attribute keys and values cut to a limit.", ["limit"])

SPOOL_BYTES: Final = Gauge("spanhouse_spool_bytes", "Bytes acknowledged and not yet stored.", multiprocess_mode="livesum")
SPOOL_AGE_SECONDS: Final = Gauge(
    "spanhouse_spool_age_seconds", "Age of the oldest request acknowledged and not yet stored.", multiprocess_mode="livemax"
)
SYNC_SECONDS: Final = Histogram(
    "spanhouse_spool_sync_seconds", "Time of one write and fsync of the spool.", buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2)
)
CORRUPT_RECORDS: Final = Counter("spanhouse_spool_corrupt_records", "Records of the spool that were damaged on disk and put aside.")

BATCH_SPANS: Final = Histogram("spanhouse_batch_spans", "Spans in an insert.", buckets=(10, 100, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000))
INSERT_SECONDS: Final = Histogram("spanhouse_insert_seconds", "Time of one insert.", buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30))
FAILED_INSERTS: Final = Counter("spanhouse_failed_inserts", "Inserts that the store refused; they are tried again.", ["reason"])
LAG_SECONDS: Final = Histogram(
    "spanhouse_lag_seconds", "Time from a batch's first acknowledgement until it can be searched.", buckets=(0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600)
)
RESENT_REQUESTS: Final = Counter("spanhouse_resent_requests", "Requests that had been acknowledged before and were not stored again.")
DEAD_LETTERS: Final = Counter("spanhouse_dead_letters", "Acknowledged requests that the store can't read, kept as dead letters.", ["reason"])
