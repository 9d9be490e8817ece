-- p0: "OK"
-- p1: ["a", "b"]
-- p2: 1700000000000000000
SELECT count()
FROM (
SELECT * EXCEPT (Key, StateAlone, SentTags, First, Last)
FROM trace_rows
WHERE State = {p0:String}
  AND ServiceName IN {p1:Array(String)}
  AND Timestamp <= fromUnixTimestamp64Nano({p2:Int64})
  AND Key NOT IN (SELECT Key FROM trace_repeats)
UNION ALL
SELECT * EXCEPT (Key)
FROM traces_merged
WHERE Key IN (SELECT Key FROM trace_repeats)
  AND TraceId IN (SELECT TraceId FROM trace_carriers WHERE Timestamp <= fromUnixTimestamp64Nano({p2:Int64}) AND (ServiceName IN {p1:Array(String)}))
  AND State = {p0:String}
  AND ServiceName IN {p1:Array(String)}
  AND Timestamp <= fromUnixTimestamp64Nano({p2:Int64})
)
