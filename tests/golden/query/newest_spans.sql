-- p0: "k"
-- p1: "x"
-- p2: "1"
-- p3: 5
-- p4: 142
SELECT count(), toUnixTimestamp64Milli(min(Timestamp))
FROM (SELECT Timestamp FROM otel_traces WHERE Timestamp >= fromUnixTimestamp64Nano({p3:Int64}) AND TraceId IN (SELECT TraceId FROM trace_carriers WHERE Timestamp >= fromUnixTimestamp64Nano({p3:Int64}) AND (AppVersion = {p2:String} OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE bitTest(Own, 1) AND AppVersion = {p2:String}))) AND (mapContains(SpanAttributes, {p0:String}) AND if(startsWith(SpanAttributes[{p0:String}], '"') AND isValidJSON(SpanAttributes[{p0:String}]) AND startsWith(SpanAttributes['mlflow.traceRequestId'], '"'), JSONExtractString(SpanAttributes[{p0:String}]), SpanAttributes[{p0:String}]) = {p1:String}) ORDER BY Timestamp DESC LIMIT 1 BY TraceId LIMIT {p4:UInt64})
