-- Facts in the rows of some traces: how many spans they count (are all still stored?), the day of their place, the price version of their cost.
SELECT row.TraceId, max(row.SpanCount), max(row.Partial), groupUniqArrayIf(row.RootSpanId, row.RootSpanId != ''), toString(max(toDate32(row.Sorted))), max(row.PriceVersion)
FROM spanhouse_trace_rows AS row FINAL
WHERE row.TraceId IN {trace_ids:Array(String)}
GROUP BY row.TraceId
