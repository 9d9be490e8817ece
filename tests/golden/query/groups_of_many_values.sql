-- p0: 10
SELECT nullIf(arrayJoin(if(empty(Models), [''], Models)), '') AS Value, count() AS Traces
FROM spanhouse_trace_rows FINAL
GROUP BY Value
ORDER BY Traces DESC, Value ASC NULLS LAST
LIMIT {p0:UInt64}
