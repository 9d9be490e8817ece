-- Traces among some arrivals that the parts at hand do not describe completely: they are remade from their spans. One row each, with the reason.
-- The reach of parts is counted from the latest one, not from now: parts that waited are settled like fresh ones.
WITH
    Arrival IN {arrivals:Array(UInt64)} AS new,
    greatest(maxIf(Received, Whole), min(Received)) AS covered
SELECT
    TraceId,
    multiIf(
        greatest(trace.Spans, seen.Spans) > {most_spans:UInt64}, 'large',
        edited.Edits > 0, 'edited',
        seen.Rows = 0 AND trace.Covered >= trace.Latest - toIntervalSecond({covered_seconds:UInt32}), '',
        trace.Covered < trace.Latest - toIntervalSecond({covered_seconds:UInt32}), 'long',
        seen.Partial, 'expired',
        seen.Prices NOT IN ('', {price_version:String}), 'priced',
        trace.Older = 0, 'late',
        seen.Rows > 1 OR seen.Placed AND (seen.Rank > 0 OR (trace.RootAt > 0 AND trace.RootAt != seen.PlacedAt)), 'moved',
        '') AS Reason
FROM
(
    SELECT
        TraceId,
        countIf(NOT new) AS Older,
        sum(length(`Spans.id`)) AS Spans,
        covered AS Covered,
        max(Received) AS Latest,
        minIf(greatest(toUnixTimestamp64Nano(Start), 1), Rank = 0) AS RootAt
    FROM spanhouse_trace_parts
    WHERE Received >= {since:DateTime64(3)} AND TraceHash IN (SELECT part.TraceHash FROM spanhouse_trace_parts AS part WHERE part.Received >= {since:DateTime64(3)} AND part.Arrival IN {arrivals:Array(UInt64)})
    GROUP BY TraceId
) AS trace
LEFT JOIN
(
    SELECT
        TraceId,
        count() AS Rows,
        max(Counted) AS Spans,
        max(Expired) AS Partial,
        max(PricedBy) AS Prices,
        max(At > 0) AS Placed,
        max(Kind) AS Rank,
        max(At) AS PlacedAt
    FROM
    (
        SELECT
            row.TraceId AS TraceId,
            toUnixTimestamp64Nano(row.Sorted) AS At,
            argMax((row.Gone, row.Partial, row.Rank, row.PriceVersion, row.SpanCount), row.Version) AS latest,
            latest.2 AS Expired,
            latest.4 AS PricedBy,
            latest.5 AS Counted,
            if(At > 0, latest.3, 0) AS Kind
        FROM spanhouse_trace_rows AS row
        WHERE row.TraceHash IN (SELECT bitAnd(part.TraceHash, 0xFFFFFFFFFF) FROM spanhouse_trace_parts AS part WHERE part.Received >= {since:DateTime64(3)} AND part.Arrival IN {arrivals:Array(UInt64)})
        GROUP BY row.TraceId, row.Sorted
        HAVING NOT latest.1
    )
    GROUP BY TraceId
) AS seen USING TraceId
LEFT JOIN
(
    SELECT edit.TraceId AS TraceId, count() AS Edits
    FROM
    (
        SELECT TraceId FROM trace_tags
        UNION ALL
        SELECT TraceId FROM spanhouse_deleted_traces
    ) AS edit
    WHERE edit.TraceId IN (SELECT part.TraceId FROM spanhouse_trace_parts AS part WHERE part.Received >= {since:DateTime64(3)} AND part.Arrival IN {arrivals:Array(UInt64)})
    GROUP BY edit.TraceId
) AS edited USING TraceId
WHERE Reason != ''
-- On a cluster a trace lives on one shard: subqueries about it run there (distributed_product_mode).
SETTINGS distributed_product_mode = 'local', optimize_and_compare_chain = 0, query_plan_merge_expressions = 0
