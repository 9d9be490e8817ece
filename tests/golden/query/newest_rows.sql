-- p0: "a"
-- p1: "x"
-- p2: "1"
-- p3: 142
SELECT count(), toUnixTimestamp64Milli(min(Timestamp)), (SELECT count() FROM trace_carriers WHERE ((has(TraceKeys, {p0:String}) AND (mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String}))) OR (bitTest(Own, 1) AND AppVersion = {p2:String})), groupUniqArray(TraceId)
FROM (SELECT Timestamp, TraceId FROM trace_carriers WHERE ((mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String})) AND (AppVersion = {p2:String}) ORDER BY Timestamp DESC LIMIT {p3:UInt64})
