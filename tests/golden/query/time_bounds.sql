-- p0: 1700000000000
-- p1: 1800000000000
-- p2: 1700000000000000000
-- p3: 1800000000001000000
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM (
SELECT * EXCEPT (Key, StateAlone, SentTags, First, Last)
FROM trace_rows
WHERE toUnixTimestamp64Milli(Timestamp) >= {p0:Int64}
  AND toUnixTimestamp64Milli(Timestamp) < {p1:Int64}
  AND Key NOT IN (SELECT Key FROM trace_repeats)
UNION ALL
SELECT * EXCEPT (Key)
FROM traces_merged
WHERE Key IN (SELECT Key FROM trace_repeats)
  AND TraceId IN (SELECT TraceId FROM trace_carriers WHERE Timestamp >= fromUnixTimestamp64Nano({p2:Int64}) AND Timestamp <= fromUnixTimestamp64Nano({p3:Int64}))
  AND toUnixTimestamp64Milli(Timestamp) >= {p0:Int64}
  AND toUnixTimestamp64Milli(Timestamp) < {p1:Int64}
)
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
