-- p0: "1"
-- p1: 5
-- p2: "k"
-- p3: "x"
-- p4: 142
SELECT count(), toUnixTimestamp64Milli(min(Timestamp)), (SELECT count() FROM trace_carriers WHERE (bitTest(Own, 1) AND AppVersion = {p0:String})), groupUniqArray(TraceId)
FROM (SELECT Timestamp, TraceId FROM otel_traces WHERE Timestamp >= fromUnixTimestamp64Nano({p1:Int64}) AND TraceId IN (SELECT TraceId FROM trace_carriers WHERE Timestamp >= fromUnixTimestamp64Nano({p1:Int64}) AND (AppVersion = {p0:String} OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE bitTest(Own, 1) AND AppVersion = {p0:String}))) AND (mapContains(SpanAttributes, {p2:String}) AND if(startsWith(SpanAttributes[{p2:String}], '"') AND isValidJSON(SpanAttributes[{p2:String}]) AND startsWith(SpanAttributes['mlflow.traceRequestId'], '"'), JSONExtractString(SpanAttributes[{p2:String}]), SpanAttributes[{p2:String}]) = {p3:String}) ORDER BY Timestamp DESC LIMIT 1 BY TraceId LIMIT {p4:UInt64})
