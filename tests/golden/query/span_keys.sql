-- p0: "LLM"
-- p1: "Server"
-- p2: "k"
-- p3: 5.0
-- p4: "b"
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, arrayZip(`Services.Name`, `Services.Version`, `Services.Commit`, `Services.Branch`, `Services.Environment`, `Services.Spans`, `Services.Errors`, `Services.SelfTime`) AS Took, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM spanhouse_trace_rows FINAL
WHERE TraceId IN (SELECT TraceId FROM otel_traces WHERE (((trim(BOTH '"' FROM SpanAttributes['mlflow.spanType']) != '') AND trim(BOTH '"' FROM SpanAttributes['mlflow.spanType']) = {p0:String}) OR ((initcap(replaceOne(SpanKind, 'SPAN_KIND_', '')) != '') AND initcap(replaceOne(SpanKind, 'SPAN_KIND_', '')) = {p1:String}) OR (mapContains(SpanAttributes, {p2:String}) AND ifNull(toFloat64OrNull(if(startsWith(SpanAttributes[{p2:String}], '"') AND isValidJSON(SpanAttributes[{p2:String}]) AND startsWith(SpanAttributes['mlflow.traceRequestId'], '"'), JSONExtractString(SpanAttributes[{p2:String}]), SpanAttributes[{p2:String}])) > {p3:Float64}, 0)) OR NOT mapContains(SpanAttributes, {p4:String})))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
