-- What the rows of some traces say that is needed to know whether all their spans are still there, the day where each
-- stands, and the prices by which its cost was computed.
SELECT row.TraceId, max(row.SpanCount), max(row.Partial), groupUniqArrayIf(row.RootSpanId, row.RootSpanId != ''), toString(max(toDate32(row.Sorted))), max(row.PriceVersion)
FROM spanhouse_trace_rows AS row FINAL
WHERE row.TraceId IN {trace_ids:Array(String)}
GROUP BY row.TraceId
