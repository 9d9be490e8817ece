-- How many spans of some traces are stored, and between when they start.
SELECT TraceId, count(), min(toUnixTimestamp64Nano(Timestamp)), max(toUnixTimestamp64Nano(Timestamp))
FROM otel_traces
WHERE TraceId IN {trace_ids:Array(String)}
GROUP BY TraceId
