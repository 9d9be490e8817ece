-- p0: "mlflow.source.git.commit"
-- p1: "0123abc%"
-- p2: "s"
-- p3: 5
-- p4: 0.5
-- p5: [1, 2]
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM (
SELECT * EXCEPT (Key, StateAlone, SentTags, First, Last)
FROM trace_rows
WHERE (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] LIKE {p1:String})
  AND SessionId = {p2:String}
  AND toInt64(InputTokens + OutputTokens) > {p3:Int64}
  AND ((if(isFinite(Cost), Cost, NULL) IS NOT NULL) AND if(isFinite(Cost), Cost, NULL) < {p4:Float64})
  AND toInt64(SpanCount) IN {p5:Array(Int64)}
  AND Key NOT IN (SELECT Key FROM trace_repeats)
UNION ALL
SELECT * EXCEPT (Key)
FROM traces_merged
WHERE Key IN (SELECT Key FROM trace_repeats)
  AND TraceId IN (SELECT TraceId FROM trace_carriers WHERE (GitCommit LIKE {p1:String} OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE bitTest(Own, 2) AND GitCommit LIKE {p1:String})) AND (SessionId = {p2:String} OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE bitTest(Own, 5) AND SessionId = {p2:String})))
  AND (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] LIKE {p1:String})
  AND SessionId = {p2:String}
  AND toInt64(InputTokens + OutputTokens) > {p3:Int64}
  AND ((if(isFinite(Cost), Cost, NULL) IS NOT NULL) AND if(isFinite(Cost), Cost, NULL) < {p4:Float64})
  AND toInt64(SpanCount) IN {p5:Array(Int64)}
)
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
