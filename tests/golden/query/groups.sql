-- p0: "ERROR"
-- p1: 5
-- p2: 10
SELECT nullIf(GitCommit, '') AS Value, count() AS Traces
FROM spanhouse_trace_rows FINAL
WHERE State = {p0:String}
  AND Timestamp >= fromUnixTimestamp64Nano({p1:Int64})
  AND (Sorted >= fromUnixTimestamp64Nano({p1:Int64}) OR Sorted = toDateTime64(0, 9, 'UTC'))
GROUP BY Value
ORDER BY Traces DESC, Value ASC NULLS LAST
LIMIT {p2:UInt64}
