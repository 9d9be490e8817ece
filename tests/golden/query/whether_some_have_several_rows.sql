-- p0: ["0a", "0b"]
SELECT count() > 0 FROM (SELECT TraceId FROM (SELECT TraceId FROM trace_carriers WHERE TraceId IN {p0:Array(String)} UNION ALL SELECT TraceId FROM trace_tags WHERE TraceId IN {p0:Array(String)}) GROUP BY TraceId HAVING count() > 1)
