-- p0: 142
SELECT toUnixTimestamp64Nano(Sorted), TraceId, if(isFinite(Cost), Cost, NULL), toUnixTimestamp64Milli(Timestamp), concat('tr-', TraceId)
FROM spanhouse_trace_rows
ORDER BY if(isFinite(Cost), Cost, NULL) DESC NULLS LAST, toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
LIMIT {p0:UInt64}
