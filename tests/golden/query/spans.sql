-- p0: "1"
-- p1: 5000000
-- p2: 5
-- p3: "x"
-- p4: "ERROR"
-- p5: "a"
-- p6: "y"
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM traces_merged
WHERE toUnixTimestamp64Milli(Timestamp) >= {p2:Int64}
  AND AppVersion = {p0:String}
  AND TraceId IN (SELECT TraceId FROM otel_traces WHERE TraceId IN (SELECT TraceId FROM trace_carriers WHERE Timestamp >= fromUnixTimestamp64Nano({p1:Int64}) AND (AppVersion = {p0:String} OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE bitTest(Own, 1) AND AppVersion = {p0:String}))) AND Timestamp >= (SELECT min(First) FROM trace_carriers WHERE TraceId IN (SELECT TraceId FROM trace_carriers WHERE Timestamp >= fromUnixTimestamp64Nano({p1:Int64}) AND (AppVersion = {p0:String} OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE bitTest(Own, 1) AND AppVersion = {p0:String})))) AND Timestamp <= (SELECT max(Last) FROM trace_carriers WHERE TraceId IN (SELECT TraceId FROM trace_carriers WHERE Timestamp >= fromUnixTimestamp64Nano({p1:Int64}) AND (AppVersion = {p0:String} OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE bitTest(Own, 1) AND AppVersion = {p0:String})))) AND (SpanName = {p3:String} AND multiIf(StatusCode IN ('Ok', 'STATUS_CODE_OK'), 'OK', StatusCode IN ('Error', 'STATUS_CODE_ERROR'), 'ERROR', 'UNSET') = {p4:String} AND (mapContains(ResourceAttributes, {p5:String}) AND ResourceAttributes[{p5:String}] != {p6:String})))
  AND TraceId IN (SELECT TraceId FROM trace_carriers WHERE Timestamp >= fromUnixTimestamp64Nano({p1:Int64}) AND (AppVersion = {p0:String} OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE bitTest(Own, 1) AND AppVersion = {p0:String})))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
