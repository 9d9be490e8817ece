-- p0: "mlflow.source.git.commit"
-- p1: "0123abc%"
-- p2: "s"
-- p3: 5
-- p4: 0.5
-- p5: [1, 2]
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, emptyArrayString() AS Took, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM spanhouse_trace_rows FINAL
WHERE (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] LIKE {p1:String})
  AND SessionId = {p2:String}
  AND ((if(InputTokens IS NULL AND OutputTokens IS NULL, NULL, toInt64(ifNull(InputTokens, 0) + ifNull(OutputTokens, 0))) IS NOT NULL) AND if(InputTokens IS NULL AND OutputTokens IS NULL, NULL, toInt64(ifNull(InputTokens, 0) + ifNull(OutputTokens, 0))) > {p3:Int64})
  AND ((if(isFinite(Cost), Cost, NULL) IS NOT NULL) AND if(isFinite(Cost), Cost, NULL) < {p4:Float64})
  AND toInt64(SpanCount) IN {p5:Array(Int64)}
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
