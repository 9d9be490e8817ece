-- p0: "0a"
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, arrayZip(`Services.Name`, `Services.Version`, `Services.Commit`, `Services.Branch`, `Services.Environment`, `Services.Spans`, `Services.Errors`, `Services.SelfTime`) AS Took, (toUnixTimestamp64Nano(Timestamp) - toInt64(Before)) AS FirstNs, (toUnixTimestamp64Nano(Timestamp) + toInt64(After)) AS LastNs
FROM spanhouse_trace_rows FINAL
WHERE TraceId = {p0:String}
ORDER BY Version DESC
LIMIT 1
