-- p0: "tr-0a"
-- p1: 1700000000000
-- p2: 0.5
-- p3: 11
-- p4: 0
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, emptyArrayString() AS Took, if(isFinite(Cost), Cost, NULL) AS Key0, toUnixTimestamp64Milli(Timestamp) AS Key1, concat('tr-', TraceId) AS Key2
FROM spanhouse_trace_rows
WHERE (Sorted, TraceId, Version) IN (
SELECT Sorted, TraceId, Version
FROM spanhouse_trace_rows FINAL
WHERE (if(isFinite(Cost), Cost, NULL) < {p2:Float64} OR if(isFinite(Cost), Cost, NULL) IS NULL OR (if(isFinite(Cost), Cost, NULL) = {p2:Float64} AND (toUnixTimestamp64Milli(Timestamp) < {p1:Int64} OR toUnixTimestamp64Milli(Timestamp) IS NULL OR (toUnixTimestamp64Milli(Timestamp) = {p1:Int64} AND (concat('tr-', TraceId) > {p0:String} OR concat('tr-', TraceId) IS NULL OR (concat('tr-', TraceId) = {p0:String} AND 0))))))
ORDER BY if(isFinite(Cost), Cost, NULL) DESC NULLS LAST, toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
LIMIT {p3:UInt64} OFFSET {p4:UInt64}
)
ORDER BY if(isFinite(Cost), Cost, NULL) DESC NULLS LAST, toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
