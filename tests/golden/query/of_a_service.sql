-- p0: "mlflow.source.git.commit"
-- p1: "0123abc%"
-- p2: "ERROR"
-- p3: "pay"
-- p4: "x"
-- p5: 101
-- p6: 0
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, arrayZip(`Services.Name`, `Services.Version`, `Services.Commit`, `Services.Branch`, `Services.Environment`, `Services.Spans`, `Services.Errors`, `Services.SelfTime`) AS Took, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM spanhouse_trace_rows
WHERE (Sorted, TraceId, Version) IN (
SELECT Sorted, TraceId, Version
FROM spanhouse_trace_rows FINAL
WHERE (has(`Services.Name`, {p3:String}) AND arrayExists((OwnName, OwnErrors, OwnTime, Own) -> OwnName = {p3:String} AND ((mapContains(Own, {p0:String}) AND Own[{p0:String}] LIKE {p1:String}) AND multiIf(OwnErrors > 0, 'ERROR', State = 'IN_PROGRESS', 'IN_PROGRESS', 'OK') = {p2:String}), `Services.Name`, `Services.Errors`, `Services.SelfTime`, arrayMap((Own0) -> mapFilter((k, v) -> v != '', map({p0:String}, Own0)), `Services.Commit`)))
  AND ((Name != '') AND Name = {p4:String})
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
LIMIT {p5:UInt64} OFFSET {p6:UInt64}
)
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
