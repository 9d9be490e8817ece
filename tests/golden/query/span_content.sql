-- p0: 2000
-- p1: "%x%"
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, emptyArrayString() AS Took, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM spanhouse_trace_rows FINAL
WHERE (NOT TraceId IN (SELECT TraceId FROM otel_traces WHERE (Duration / 1000000) > {p0:Int64}))
  AND TraceId IN (SELECT TraceId FROM otel_traces WHERE arrayStringConcat(arrayConcat([CAST(SpanName, 'String'), StatusMessage], CAST(mapKeys(SpanAttributes), 'Array(String)'), mapValues(SpanAttributes), CAST(Events.Name, 'Array(String)'), arrayFlatten(arrayMap(m -> arrayConcat(CAST(mapKeys(m), 'Array(String)'), mapValues(m)), Events.Attributes))), '\n') LIKE {p1:String})
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
