-- p0: "0a"
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (toUnixTimestamp64Nano(Timestamp) - toInt64(Before)) AS FirstNs, (toUnixTimestamp64Nano(Timestamp) + toInt64(After)) AS LastNs
FROM spanhouse_trace_rows FINAL
WHERE TraceId = {p0:String}
ORDER BY Version DESC
LIMIT 1
