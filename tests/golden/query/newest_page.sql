-- p0: "app_version"
-- p1: "1"
-- p2: 1700000000000000000
-- p3: 101
-- p4: 0
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM traces
WHERE (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String})
  AND Timestamp >= fromUnixTimestamp64Nano({p2:Int64})
  AND TraceId IN (SELECT TraceId FROM trace_carriers WHERE Timestamp >= fromUnixTimestamp64Nano({p2:Int64}) AND (AppVersion = {p1:String} OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE bitTest(Own, 1) AND AppVersion = {p1:String})))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
LIMIT {p3:UInt64} OFFSET {p4:UInt64}
