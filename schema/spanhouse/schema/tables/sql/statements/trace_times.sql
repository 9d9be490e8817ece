-- Number of stored spans of some traces, and their earliest and latest start.
SELECT TraceId, count(), min(toUnixTimestamp64Nano(Timestamp)), max(toUnixTimestamp64Nano(Timestamp))
FROM otel_traces
WHERE TraceId IN {trace_ids:Array(String)}
GROUP BY TraceId
