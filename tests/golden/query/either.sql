-- p0: "1"
-- p1: "a"
-- p2: "x"
-- p3: "b"
-- p4: "y"
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, emptyArrayString() AS Took, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM spanhouse_trace_rows FINAL
WHERE (AppVersion = {p0:String} OR ((mapContains(Metadata, {p1:String}) AND Metadata[{p1:String}] = {p2:String}) AND (mapContains(Tags, {p3:String}) AND Tags[{p3:String}] = {p4:String})))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
