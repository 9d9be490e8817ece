-- p0: ["0a", "0b"]
-- p1: "a"
-- p2: "x"
-- p3: "1"
SELECT groupArray(TraceId), (SELECT groupArray(601)(TraceId) FROM (SELECT TraceId FROM trace_carriers WHERE Key IN (SELECT Key FROM trace_carriers WHERE ((has(TraceKeys, {p1:String}) AND (mapContains(Metadata, {p1:String}) AND Metadata[{p1:String}] = {p2:String}))) OR (bitTest(Own, 1) AND AppVersion = {p3:String})) GROUP BY TraceId HAVING count() > 1))
FROM (SELECT TraceId FROM (SELECT TraceId FROM trace_carriers WHERE TraceId IN {p0:Array(String)} UNION ALL SELECT TraceId FROM trace_tags WHERE TraceId IN {p0:Array(String)}) GROUP BY TraceId HAVING count() > 1)
