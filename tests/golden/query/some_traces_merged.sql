-- p0: ["0a", "0b"]
-- p1: "1"
-- p2: 5
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM traces_merged
WHERE TraceId IN {p0:Array(String)}
  AND AppVersion = {p1:String}
  AND Timestamp >= fromUnixTimestamp64Nano({p2:Int64})
