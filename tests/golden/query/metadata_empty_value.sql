-- p0: "note"
-- p1: ""
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM traces
WHERE (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String})
  AND TraceId IN (SELECT TraceId FROM trace_carriers WHERE ((mapContains(TraceMetadata, {p0:String}) AND TraceMetadata[{p0:String}] = {p1:String}) OR (mapContains(ProcessMetadata, {p0:String}) AND ProcessMetadata[{p0:String}] = {p1:String})))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
