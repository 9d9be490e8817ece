-- p0: "chat"
-- p1: "ERROR"
-- p2: "c"
-- p3: 100
-- p4: 5.5
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, emptyArrayString() AS Took, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM spanhouse_trace_rows FINAL
WHERE ((Name != '') AND Name = {p0:String})
  AND State = {p1:String}
  AND ((ClientRequestId != '') AND ClientRequestId = {p2:String})
  AND ((if(RootSpanId = '', NULL, toInt64(intDiv(Duration, 1000000))) IS NOT NULL) AND if(RootSpanId = '', NULL, toInt64(intDiv(Duration, 1000000))) > {p3:Int64})
  AND ((if(RootSpanId = '', NULL, toUnixTimestamp64Milli(Timestamp) + toInt64(intDiv(Duration, 1000000))) IS NOT NULL) AND if(RootSpanId = '', NULL, toUnixTimestamp64Milli(Timestamp) + toInt64(intDiv(Duration, 1000000))) >= {p4:Float64})
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
