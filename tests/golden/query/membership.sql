-- p0: "a"
-- p1: ["x", "y"]
-- p2: "b"
-- p3: ["z"]
-- p4: ["ERROR"]
-- p5: [1.0, 2.5]
-- p6: 1000000
-- p7: 4000000
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, emptyArrayString() AS Took, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM spanhouse_trace_rows FINAL
WHERE (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] IN {p1:Array(String)})
  AND (mapContains(Tags, {p2:String}) AND Tags[{p2:String}] NOT IN {p3:Array(String)})
  AND State IN {p4:Array(String)}
  AND toUnixTimestamp64Milli(Timestamp) IN {p5:Array(Float64)}
  AND (Sorted >= fromUnixTimestamp64Nano({p6:Int64}) AND Sorted <= fromUnixTimestamp64Nano({p7:Int64}) OR Sorted = toDateTime64(0, 9, 'UTC'))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
