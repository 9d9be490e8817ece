-- Traces whose spans are all there: at least as many as their rows counted, the root among them, and none was missing before. Deleted ones are
-- left out.
SELECT made.TraceId
FROM
(
    SELECT part.TraceId AS TraceId, groupUniqArrayArray(part.`Spans.id`) AS Ids
    FROM spanhouse_trace_parts AS part
    WHERE part.Received >= {since:DateTime64(3)} AND part.Arrival = {arrival:UInt64}
    GROUP BY part.TraceId
) AS made
LEFT JOIN
(
    SELECT row.TraceId AS TraceId, max(row.SpanCount) AS Counted, max(row.Partial) AS Lacked, groupUniqArrayIf(cityHash64(row.RootSpanId), row.RootSpanId != '') AS Roots
    FROM spanhouse_trace_rows AS row FINAL
    WHERE row.TraceId IN {trace_ids:Array(String)}
    GROUP BY row.TraceId
) AS live USING TraceId
WHERE length(made.Ids) >= live.Counted AND NOT live.Lacked AND hasAll(made.Ids, live.Roots)
    AND made.TraceId NOT IN (SELECT deleted.TraceId FROM spanhouse_deleted_traces AS deleted WHERE deleted.TraceId IN {trace_ids:Array(String)})
