-- p0: "mlflow.spanType"
-- p1: "LLM"
-- p2: "Server"
-- p3: "k"
-- p4: 5.0
-- p5: "b"
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM spanhouse_trace_rows FINAL
WHERE TraceId IN (SELECT TraceId FROM otel_traces WHERE ((mapContains(SpanAttributes, {p0:String}) AND if(startsWith(SpanAttributes[{p0:String}], '"') AND isValidJSON(SpanAttributes[{p0:String}]), JSONExtractString(SpanAttributes[{p0:String}]), SpanAttributes[{p0:String}]) = {p1:String}) OR ((initcap(replaceOne(SpanKind, 'SPAN_KIND_', '')) != '') AND initcap(replaceOne(SpanKind, 'SPAN_KIND_', '')) = {p2:String}) OR (mapContains(SpanAttributes, {p3:String}) AND ifNull(toFloat64OrNull(if(startsWith(SpanAttributes[{p3:String}], '"') AND isValidJSON(SpanAttributes[{p3:String}]) AND startsWith(SpanAttributes['mlflow.traceRequestId'], '"'), JSONExtractString(SpanAttributes[{p3:String}]), SpanAttributes[{p3:String}])) > {p4:Float64}, 0)) OR NOT mapContains(SpanAttributes, {p5:String})))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
