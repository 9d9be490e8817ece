-- p0: "version"
-- p1: "tr-0a"
-- p2: 1700000000000
-- p3: "svc"
-- p4: "1.0"
-- p5: 11
-- p6: 0
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, emptyArrayString() AS Took, if(mapContains(Metadata, {p0:String}), Metadata[{p0:String}], NULL) AS Key0, ServiceName AS Key1, toUnixTimestamp64Milli(Timestamp) AS Key2, concat('tr-', TraceId) AS Key3
FROM spanhouse_trace_rows
WHERE (Sorted, TraceId, Version) IN (
SELECT Sorted, TraceId, Version
FROM spanhouse_trace_rows FINAL
WHERE (if(mapContains(Metadata, {p0:String}), Metadata[{p0:String}], NULL) < {p4:String} OR if(mapContains(Metadata, {p0:String}), Metadata[{p0:String}], NULL) IS NULL OR (if(mapContains(Metadata, {p0:String}), Metadata[{p0:String}], NULL) = {p4:String} AND (ServiceName > {p3:String} OR ServiceName IS NULL OR (ServiceName = {p3:String} AND (toUnixTimestamp64Milli(Timestamp) < {p2:Int64} OR toUnixTimestamp64Milli(Timestamp) IS NULL OR (toUnixTimestamp64Milli(Timestamp) = {p2:Int64} AND (concat('tr-', TraceId) > {p1:String} OR concat('tr-', TraceId) IS NULL OR (concat('tr-', TraceId) = {p1:String} AND 0))))))))
ORDER BY if(mapContains(Metadata, {p0:String}), Metadata[{p0:String}], NULL) DESC NULLS LAST, ServiceName ASC NULLS LAST, toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
LIMIT {p5:UInt64} OFFSET {p6:UInt64}
)
ORDER BY if(mapContains(Metadata, {p0:String}), Metadata[{p0:String}], NULL) DESC NULLS LAST, ServiceName ASC NULLS LAST, toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
