-- p0: 1699992800000
-- p1: "at"
-- p2: 1700000000000000
-- p3: "^(19|2[0-2])[0-9]{2}-[0-9]{2}-[0-9]{2}([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?$"
-- p4: 1699992800000000000
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, emptyArrayString() AS Took, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM spanhouse_trace_rows FINAL
WHERE toUnixTimestamp64Milli(Timestamp) > {p0:Int64}
  AND (mapContains(Tags, {p1:String}) AND (match(Tags[{p1:String}], {p3:String}) AND ifNull(toUnixTimestamp64Micro(parseDateTime64BestEffortOrNull(Tags[{p1:String}], 6, 'UTC')) < {p2:Int64}, 0)))
  AND (Sorted >= fromUnixTimestamp64Nano({p4:Int64}) OR Sorted = toDateTime64(0, 9, 'UTC'))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
