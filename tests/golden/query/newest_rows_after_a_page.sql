-- p0: "tr-0a"
-- p1: 1700000000000
-- p2: 1700000000001000000
-- p3: 142
SELECT toUnixTimestamp64Nano(Sorted), TraceId
FROM spanhouse_trace_rows
WHERE (toUnixTimestamp64Milli(Timestamp) < {p1:Int64} OR toUnixTimestamp64Milli(Timestamp) IS NULL OR (toUnixTimestamp64Milli(Timestamp) = {p1:Int64} AND (concat('tr-', TraceId) > {p0:String} OR concat('tr-', TraceId) IS NULL OR (concat('tr-', TraceId) = {p0:String} AND 0))))
  AND (Sorted <= fromUnixTimestamp64Nano({p2:Int64}) OR Sorted = toDateTime64(0, 9, 'UTC'))
  AND NOT Sorted = toDateTime64(0, 9, 'UTC')
ORDER BY Sorted DESC
LIMIT {p3:UInt64}
