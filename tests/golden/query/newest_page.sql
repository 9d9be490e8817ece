-- p0: "a"
-- p1: "x"
-- p2: 1700000000000000000
-- p3: 142
-- p4: 101
-- p5: 0
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM traces
WHERE (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String})
  AND Timestamp >= fromUnixTimestamp64Milli(toUnixTimestamp64Milli((SELECT if(count() < {p3:UInt64}, fromUnixTimestamp64Nano({p2:Int64}), min(Timestamp)) FROM (SELECT Timestamp FROM trace_carriers WHERE Timestamp >= fromUnixTimestamp64Nano({p2:Int64}) AND ((mapContains(TraceMetadata, {p0:String}) AND TraceMetadata[{p0:String}] = {p1:String}) OR (mapContains(ProcessMetadata, {p0:String}) AND ProcessMetadata[{p0:String}] = {p1:String})) ORDER BY Timestamp DESC LIMIT {p3:UInt64}))))
  AND TraceId IN (SELECT TraceId FROM trace_carriers WHERE Timestamp >= fromUnixTimestamp64Milli(toUnixTimestamp64Milli((SELECT if(count() < {p3:UInt64}, fromUnixTimestamp64Nano({p2:Int64}), min(Timestamp)) FROM (SELECT Timestamp FROM trace_carriers WHERE Timestamp >= fromUnixTimestamp64Nano({p2:Int64}) AND ((mapContains(TraceMetadata, {p0:String}) AND TraceMetadata[{p0:String}] = {p1:String}) OR (mapContains(ProcessMetadata, {p0:String}) AND ProcessMetadata[{p0:String}] = {p1:String})) ORDER BY Timestamp DESC LIMIT {p3:UInt64})))) AND ((mapContains(TraceMetadata, {p0:String}) AND TraceMetadata[{p0:String}] = {p1:String}) OR (mapContains(ProcessMetadata, {p0:String}) AND ProcessMetadata[{p0:String}] = {p1:String}) OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE (mapContains(TraceMetadata, {p0:String}) AND TraceMetadata[{p0:String}] = {p1:String}))))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
LIMIT {p4:UInt64} OFFSET {p5:UInt64}
