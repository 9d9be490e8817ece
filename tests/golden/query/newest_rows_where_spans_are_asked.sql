-- p0: "a"
-- p1: "1"
-- p2: 5
-- p3: 20000
SELECT count(), toUnixTimestamp64Nano(min(Sorted))
FROM (
SELECT Sorted
FROM spanhouse_trace_rows
WHERE (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String})
  AND Timestamp >= fromUnixTimestamp64Nano({p2:Int64})
  AND (Sorted >= fromUnixTimestamp64Nano({p2:Int64}) OR Sorted = toDateTime64(0, 9, 'UTC'))
  AND NOT Sorted = toDateTime64(0, 9, 'UTC')
ORDER BY Sorted DESC
LIMIT {p3:UInt64}
)
