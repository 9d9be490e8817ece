-- What the rows of some traces say that is needed to know whether all their spans are still there, and the day where each stands.
SELECT row.TraceId, max(row.SpanCount), max(row.Partial), groupUniqArrayIf(row.RootSpanId, row.RootSpanId != ''), toString(max(toDate32(row.Sorted)))
FROM spanhouse_trace_rows AS row FINAL
WHERE row.TraceId IN {trace_ids:Array(String)}
GROUP BY row.TraceId
