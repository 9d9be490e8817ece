-- p0: "0a"
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, TraceId IN (SELECT TraceId FROM trace_tags WHERE TraceId = {p0:String}) AS Edited, toUnixTimestamp64Nano(First) AS FirstNs, toUnixTimestamp64Nano(Last) AS LastNs
FROM trace_rows
WHERE TraceId = {p0:String}
