-- p0: "a"
-- p1: ["x", "y"]
-- p2: "b"
-- p3: ["z"]
-- p4: ["ERROR"]
-- p5: [1.0, 2.5]
-- p6: 1000000
-- p7: 4000000
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM traces
WHERE (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] IN {p1:Array(String)})
  AND (mapContains(Tags, {p2:String}) AND Tags[{p2:String}] NOT IN {p3:Array(String)})
  AND State IN {p4:Array(String)}
  AND toUnixTimestamp64Milli(Timestamp) IN {p5:Array(Float64)}
  AND TraceId IN (SELECT TraceId FROM trace_carriers WHERE Timestamp >= fromUnixTimestamp64Nano({p6:Int64}) AND Timestamp <= fromUnixTimestamp64Nano({p7:Int64}) AND ((mapContains(TraceMetadata, {p0:String}) AND TraceMetadata[{p0:String}] IN {p1:Array(String)}) OR (mapContains(ProcessMetadata, {p0:String}) AND ProcessMetadata[{p0:String}] IN {p1:Array(String)}) OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE (mapContains(TraceMetadata, {p0:String}) AND TraceMetadata[{p0:String}] IN {p1:Array(String)}))) AND (StatusCode IN ('Error', 'STATUS_CODE_ERROR') OR State = 'ERROR' OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE State = 'ERROR')))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
