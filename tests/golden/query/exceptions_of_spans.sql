-- p0: "TimeoutError"
-- p1: "%x%"
-- p2: "LLM"
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, arrayZip(`Services.Name`, `Services.Version`, `Services.Commit`, `Services.Branch`, `Services.Environment`, `Services.Spans`, `Services.Errors`, `Services.SelfTime`) AS Took, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM spanhouse_trace_rows FINAL
WHERE TraceId IN (SELECT TraceId FROM otel_traces WHERE (arrayExists(Element -> Element = {p0:String}, arrayFilter(said -> said != '', arrayMap(event -> event['exception.type'], Events.Attributes))) AND arrayExists(Element -> Element LIKE {p1:String}, arrayFilter(said -> said != '', arrayMap(event -> event['exception.message'], Events.Attributes))) AND ((trim(BOTH '"' FROM SpanAttributes['mlflow.spanType']) != '') AND trim(BOTH '"' FROM SpanAttributes['mlflow.spanType']) = {p2:String})))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
