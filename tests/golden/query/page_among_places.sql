-- p0: [7, 6]
-- p1: ["0a", "0b"]
-- p2: "1"
-- p3: 5
-- p4: 101
-- p5: 100
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, emptyArrayString() AS Took, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM spanhouse_trace_rows FINAL
WHERE ((Sorted, TraceId) IN (SELECT fromUnixTimestamp64Nano(StartNs), Id FROM (SELECT {p0:Array(Int64)} AS StartNs, {p1:Array(String)} AS Id) ARRAY JOIN StartNs, Id) OR Sorted = toDateTime64(0, 9, 'UTC'))
  AND AppVersion = {p2:String}
  AND Timestamp >= fromUnixTimestamp64Nano({p3:Int64})
  AND (Sorted >= fromUnixTimestamp64Nano({p3:Int64}) OR Sorted = toDateTime64(0, 9, 'UTC'))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
LIMIT {p4:UInt64} OFFSET {p5:UInt64}
