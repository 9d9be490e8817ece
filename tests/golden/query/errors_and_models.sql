-- p0: "TimeoutError"
-- p1: ["A"]
-- p2: "%x%"
-- p3: ["gpt-4o"]
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, emptyArrayString() AS Took, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM spanhouse_trace_rows FINAL
WHERE arrayExists(Element -> Element = {p0:String}, ErrorTypes)
  AND arrayExists(Element -> Element NOT IN {p1:Array(String)}, ErrorTypes)
  AND ((ErrorMessage != '') AND ErrorMessage LIKE {p2:String})
  AND arrayExists(Element -> Element IN {p3:Array(String)}, Models)
  AND notEmpty(Models)
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
