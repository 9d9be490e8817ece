-- p0: [7]
-- p1: ["0a"]
-- p2: "tr-0a"
-- p3: 1700000000000
-- p4: 0.5
-- p5: 101
-- p6: 0
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, emptyArrayString() AS Took, if(isFinite(Cost), Cost, NULL) AS Key0, toUnixTimestamp64Milli(Timestamp) AS Key1, concat('tr-', TraceId) AS Key2
FROM spanhouse_trace_rows FINAL
WHERE ((Sorted, TraceId) IN (SELECT fromUnixTimestamp64Nano(StartNs), Id FROM (SELECT {p0:Array(Int64)} AS StartNs, {p1:Array(String)} AS Id) ARRAY JOIN StartNs, Id) OR Sorted = toDateTime64(0, 9, 'UTC'))
  AND NOT (if(isFinite(Cost), Cost, NULL) < {p4:Float64} OR if(isFinite(Cost), Cost, NULL) IS NULL OR (if(isFinite(Cost), Cost, NULL) = {p4:Float64} AND (toUnixTimestamp64Milli(Timestamp) < {p3:Int64} OR toUnixTimestamp64Milli(Timestamp) IS NULL OR (toUnixTimestamp64Milli(Timestamp) = {p3:Int64} AND (concat('tr-', TraceId) > {p2:String} OR concat('tr-', TraceId) IS NULL OR (concat('tr-', TraceId) = {p2:String} AND 0))))))
ORDER BY if(isFinite(Cost), Cost, NULL) DESC NULLS LAST, toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
LIMIT {p5:UInt64} OFFSET {p6:UInt64}
