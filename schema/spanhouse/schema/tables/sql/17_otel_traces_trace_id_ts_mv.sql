-- Placeholder with the name of a view that the Collector's exporter would create.
CREATE VIEW IF NOT EXISTS otel_traces_trace_id_ts_mv AS
SELECT
    times.TraceId AS TraceId,
    times.Start AS Start,
    times.End AS End
FROM otel_traces_trace_id_ts AS times
COMMENT 'Internal: stands in the place of a view of the Collector';
