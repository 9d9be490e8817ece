-- p0: ["0a", "0b"]
-- p1: "1"
-- p2: 5
-- p3: 101
-- p4: 0
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM trace_rows
WHERE TraceId IN {p0:Array(String)}
  AND AppVersion = {p1:String}
  AND Timestamp >= fromUnixTimestamp64Nano({p2:Int64})
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
LIMIT {p3:UInt64} OFFSET {p4:UInt64}
