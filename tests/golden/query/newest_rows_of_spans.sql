-- p0: "a"
-- p1: "1"
-- p2: 5
-- p3: "k"
-- p4: "x"
-- p5: 142
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1, (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String}) AND Timestamp >= fromUnixTimestamp64Nano({p2:Int64}) AS Matches
FROM trace_rows
WHERE Timestamp >= fromUnixTimestamp64Nano({p2:Int64})
  AND ((mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String}))
  AND TraceId IN (SELECT TraceId FROM otel_traces WHERE TraceId IN (SELECT TraceId FROM trace_carriers WHERE Timestamp >= fromUnixTimestamp64Nano({p2:Int64}) AND ((mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String}) OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE (has(TraceKeys, {p0:String}) AND (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String}))))) AND Timestamp >= (SELECT min(First) FROM trace_carriers WHERE TraceId IN (SELECT TraceId FROM trace_carriers WHERE Timestamp >= fromUnixTimestamp64Nano({p2:Int64}) AND ((mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String}) OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE (has(TraceKeys, {p0:String}) AND (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String})))))) AND Timestamp <= (SELECT max(Last) FROM trace_carriers WHERE TraceId IN (SELECT TraceId FROM trace_carriers WHERE Timestamp >= fromUnixTimestamp64Nano({p2:Int64}) AND ((mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String}) OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE (has(TraceKeys, {p0:String}) AND (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String})))))) AND (mapContains(SpanAttributes, {p3:String}) AND if(startsWith(SpanAttributes[{p3:String}], '"') AND isValidJSON(SpanAttributes[{p3:String}]) AND startsWith(SpanAttributes['mlflow.traceRequestId'], '"'), JSONExtractString(SpanAttributes[{p3:String}]), SpanAttributes[{p3:String}]) = {p4:String}))
ORDER BY Timestamp DESC
LIMIT {p5:UInt64}
