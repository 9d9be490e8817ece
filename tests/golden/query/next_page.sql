-- p0: "tr-0af7651916cd43dd8448eb211c80319c"
-- p1: 1700000000000
-- p2: 1700000000001000000
-- p3: 101
-- p4: 0
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, emptyArrayString() AS Took, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM spanhouse_trace_rows
WHERE (Sorted, TraceId, Version) IN (
SELECT Sorted, TraceId, Version
FROM spanhouse_trace_rows FINAL
WHERE (toUnixTimestamp64Milli(Timestamp) < {p1:Int64} OR toUnixTimestamp64Milli(Timestamp) IS NULL OR (toUnixTimestamp64Milli(Timestamp) = {p1:Int64} AND (concat('tr-', TraceId) > {p0:String} OR concat('tr-', TraceId) IS NULL OR (concat('tr-', TraceId) = {p0:String} AND 0))))
  AND (Sorted <= fromUnixTimestamp64Nano({p2:Int64}) OR Sorted = toDateTime64(0, 9, 'UTC'))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
LIMIT {p3:UInt64} OFFSET {p4:UInt64}
)
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
