-- p0: "mlflow.source.type"
-- p1: "production"
-- p2: "app_version"
-- p3: "1.0.0"
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM traces
WHERE (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String})
  AND (mapContains(Metadata, {p2:String}) AND Metadata[{p2:String}] = {p3:String})
  AND TraceId IN (SELECT TraceId FROM trace_carriers WHERE (SourceType = {p1:String} OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE bitTest(Own, 0) AND SourceType = {p1:String})) AND (AppVersion = {p3:String} OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE bitTest(Own, 1) AND AppVersion = {p3:String})))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
