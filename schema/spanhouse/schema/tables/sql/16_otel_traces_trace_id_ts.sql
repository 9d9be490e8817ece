-- Earliest and latest span start of each trace, in the names of the Collector's exporter, for Grafana's ClickHouse datasource.
CREATE VIEW IF NOT EXISTS otel_traces_trace_id_ts AS
WITH
    -- 2106-02-07T06:28:15 is the last second that DateTime holds, and readers add one.
    time -> toDateTime(least(greatest(time, toDateTime64(0, 9, 'UTC')), toDateTime64('2106-02-07 06:28:14', 9, 'UTC'))) AS to_second
SELECT
    row.TraceId AS TraceId,
    to_second(fromUnixTimestamp64Nano(toUnixTimestamp64Nano(row.Timestamp) - toInt64(row.Before))) AS Start,
    to_second(fromUnixTimestamp64Nano(toUnixTimestamp64Nano(row.Timestamp) + toInt64(row.After))) AS End
FROM spanhouse_trace_rows AS row
WHERE NOT row.Gone
COMMENT 'Times of traces, for the ClickHouse datasource of Grafana';
