-- p0: 1700000000000
-- p1: 1800000000000
-- p2: 1700000000000000000
-- p3: 1800000000001000000
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, emptyArrayString() AS Took, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM spanhouse_trace_rows FINAL
WHERE toUnixTimestamp64Milli(Timestamp) >= {p0:Int64}
  AND toUnixTimestamp64Milli(Timestamp) < {p1:Int64}
  AND (Sorted >= fromUnixTimestamp64Nano({p2:Int64}) AND Sorted <= fromUnixTimestamp64Nano({p3:Int64}) OR Sorted = toDateTime64(0, 9, 'UTC'))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
