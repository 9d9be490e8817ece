-- p0: 5
-- p1: "1"
-- p2: 5000000
-- p3: "x"
-- p4: "ERROR"
-- p5: "a"
-- p6: "y"
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, emptyArrayString() AS Took, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM spanhouse_trace_rows FINAL
WHERE toUnixTimestamp64Milli(Timestamp) >= {p0:Int64}
  AND AppVersion = {p1:String}
  AND TraceId IN (SELECT TraceId FROM otel_traces WHERE Timestamp >= (SELECT (fromUnixTimestamp64Nano(min((toUnixTimestamp64Nano(Timestamp) - toInt64(Before)))), fromUnixTimestamp64Nano(max((toUnixTimestamp64Nano(Timestamp) + toInt64(After))))) FROM spanhouse_trace_rows WHERE toUnixTimestamp64Milli(Timestamp) >= {p0:Int64} AND AppVersion = {p1:String} AND (Sorted >= fromUnixTimestamp64Nano({p2:Int64}) OR Sorted = toDateTime64(0, 9, 'UTC'))).1 AND Timestamp <= (SELECT (fromUnixTimestamp64Nano(min((toUnixTimestamp64Nano(Timestamp) - toInt64(Before)))), fromUnixTimestamp64Nano(max((toUnixTimestamp64Nano(Timestamp) + toInt64(After))))) FROM spanhouse_trace_rows WHERE toUnixTimestamp64Milli(Timestamp) >= {p0:Int64} AND AppVersion = {p1:String} AND (Sorted >= fromUnixTimestamp64Nano({p2:Int64}) OR Sorted = toDateTime64(0, 9, 'UTC'))).2 AND TraceId IN (SELECT TraceId FROM spanhouse_trace_rows WHERE toUnixTimestamp64Milli(Timestamp) >= {p0:Int64} AND AppVersion = {p1:String} AND (Sorted >= fromUnixTimestamp64Nano({p2:Int64}) OR Sorted = toDateTime64(0, 9, 'UTC'))) AND (SpanName = {p3:String} AND multiIf(StatusCode IN ('Ok', 'STATUS_CODE_OK'), 'OK', StatusCode IN ('Error', 'STATUS_CODE_ERROR'), 'ERROR', 'UNSET') = {p4:String} AND (mapContains(ResourceAttributes, {p5:String}) AND ResourceAttributes[{p5:String}] != {p6:String})))
  AND (Sorted >= fromUnixTimestamp64Nano({p2:Int64}) OR Sorted = toDateTime64(0, 9, 'UTC'))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
