-- p0: "a"
-- p1: "x"
-- p2: "1"
-- p3: 142
SELECT toUnixTimestamp64Nano(Sorted), TraceId
FROM spanhouse_trace_rows
WHERE (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String})
  AND AppVersion = {p2:String}
  AND NOT Sorted = toDateTime64(0, 9, 'UTC')
ORDER BY Sorted DESC
LIMIT {p3:UInt64}
