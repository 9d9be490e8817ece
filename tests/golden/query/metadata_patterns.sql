-- p0: "a"
-- p1: "100\\%\\\\"
-- p2: "x_"
-- p3: "b"
-- p4: "^\\d+$"
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, emptyArrayString() AS Took, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM spanhouse_trace_rows FINAL
WHERE (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] LIKE {p1:String})
  AND (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] ILIKE {p2:String})
  AND (mapContains(Tags, {p3:String}) AND match(Tags[{p3:String}], {p4:String}))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
