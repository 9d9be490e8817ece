-- p0: "a"
-- p1: "x"
-- p2: 5
-- p3: 8016
SELECT count(), toUnixTimestamp64Milli(min(Timestamp))
FROM (
SELECT Timestamp
FROM trace_rows
WHERE Timestamp >= fromUnixTimestamp64Nano({p2:Int64})
  AND ((mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String}))
ORDER BY Timestamp DESC
LIMIT {p3:UInt64}
)
