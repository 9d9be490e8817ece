-- p0: "OK"
-- p1: ["a", "b"]
-- p2: 1700000000000000000
SELECT count()
FROM spanhouse_trace_rows FINAL
WHERE State = {p0:String}
  AND ServiceName IN {p1:Array(String)}
  AND Timestamp <= fromUnixTimestamp64Nano({p2:Int64})
  AND (Sorted <= fromUnixTimestamp64Nano({p2:Int64}) OR Sorted = toDateTime64(0, 9, 'UTC'))
