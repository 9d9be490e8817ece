-- p0: 5
-- p1: "tr-0a"
-- p2: 4
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM (
SELECT * EXCEPT (Key, StateAlone, SentTags, First, Last)
FROM trace_rows
WHERE (toUnixTimestamp64Milli(Timestamp) >= {p0:Int64} OR (concat('tr-', TraceId) = {p1:String} AND toUnixTimestamp64Milli(Timestamp) < {p2:Int64}))
  AND Key NOT IN (SELECT Key FROM trace_repeats)
UNION ALL
SELECT * EXCEPT (Key)
FROM traces_merged
WHERE Key IN (SELECT Key FROM trace_repeats)
  AND TraceId IN (SELECT TraceId FROM trace_carriers WHERE (((toUnixTimestamp64Milli(Timestamp) >= {p0:Int64})) OR ((concat('tr-', TraceId) = {p1:String}) AND (toUnixTimestamp64Milli(Timestamp) < {p2:Int64})) OR (concat('tr-', TraceId) = {p1:String})))
  AND (toUnixTimestamp64Milli(Timestamp) >= {p0:Int64} OR (concat('tr-', TraceId) = {p1:String} AND toUnixTimestamp64Milli(Timestamp) < {p2:Int64}))
)
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
