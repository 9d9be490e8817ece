-- What the rows of some traces say that is needed to know whether all their spans are still there.
SELECT row.TraceId, max(row.SpanCount), max(row.Partial), groupUniqArrayIf(row.RootSpanId, row.RootSpanId != '')
FROM spanhouse_trace_rows AS row FINAL
WHERE row.TraceId IN {trace_ids:Array(String)}
GROUP BY row.TraceId
