-- p0: "mlflow.spanType"
-- p1: "LLM"
-- p2: "x"
-- p3: "OK"
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM spanhouse_trace_rows FINAL
WHERE (TraceId IN (SELECT TraceId FROM otel_traces WHERE ((mapContains(SpanAttributes, {p0:String}) AND if(startsWith(SpanAttributes[{p0:String}], '"') AND isValidJSON(SpanAttributes[{p0:String}]), JSONExtractString(SpanAttributes[{p0:String}]), SpanAttributes[{p0:String}]) = {p1:String}) AND SpanName = {p2:String})) OR (State = {p3:String} AND TraceId IN (SELECT TraceId FROM otel_traces WHERE SpanName = {p2:String})))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
