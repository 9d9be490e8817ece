-- p0: "mlflow.source.git.commit"
-- p1: "0123abc%"
-- p2: "mlflow.trace.session"
-- p3: "s"
-- p4: 5
-- p5: 0.5
-- p6: [1, 2]
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM traces
WHERE (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] LIKE {p1:String})
  AND (mapContains(Metadata, {p2:String}) AND Metadata[{p2:String}] = {p3:String})
  AND toInt64(InputTokens + OutputTokens) > {p4:Int64}
  AND ((if(isFinite(Cost), Cost, NULL) IS NOT NULL) AND if(isFinite(Cost), Cost, NULL) < {p5:Float64})
  AND toInt64(SpanCount) IN {p6:Array(Int64)}
  AND TraceId IN (SELECT TraceId FROM trace_carriers WHERE (GitCommit LIKE {p1:String} OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE bitTest(Own, 2) AND GitCommit LIKE {p1:String})) AND (SessionId = {p3:String} OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE bitTest(Own, 5) AND SessionId = {p3:String})))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
