-- Traces whose spans are all there: at least as many as their rows counted. Deleted ones are left out.
SELECT made.TraceId
FROM
(
    SELECT part.TraceId AS TraceId, uniqExactArray(part.`Spans.id`) AS Spans
    FROM spanhouse_trace_parts AS part
    WHERE part.Received >= {since:DateTime64(3)} AND part.Arrival = {arrival:UInt64}
    GROUP BY part.TraceId
) AS made
LEFT JOIN
(
    SELECT row.TraceId AS TraceId, max(row.SpanCount) AS Counted
    FROM spanhouse_trace_rows AS row FINAL
    WHERE row.TraceId IN {trace_ids:Array(String)}
    GROUP BY row.TraceId
) AS live USING TraceId
WHERE made.Spans >= live.Counted
    AND made.TraceId NOT IN (SELECT deleted.TraceId FROM spanhouse_deleted_traces AS deleted WHERE deleted.TraceId IN {trace_ids:Array(String)})
