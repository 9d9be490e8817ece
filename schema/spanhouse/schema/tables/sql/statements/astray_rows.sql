-- Recently changed traces that do not have exactly one row: two places, after two processes settled without taking turns; or none, after a
-- process was killed between the tombstone in one place and the row in another. Deleted traces have none for good.
SELECT TraceId
FROM
(
    SELECT row.TraceId AS TraceId, row.Sorted, argMax(row.Gone, row.Version) AS Dead, max(row.Version) AS Last
    FROM spanhouse_trace_rows AS row
    WHERE row.TraceHash IN (
        SELECT recent.TraceHash
        FROM spanhouse_trace_rows AS recent
        WHERE recent.Settled >= now() - toIntervalSecond({seconds:UInt32})
        GROUP BY recent.TraceHash
        HAVING min(recent.Sorted) != max(recent.Sorted)
        UNION ALL
        SELECT gone.TraceHash FROM spanhouse_trace_rows AS gone WHERE gone.Gone AND gone.Settled >= now() - toIntervalSecond({gone_seconds:UInt32}))
        -- A tombstone's row is at most as old as the tombstone.
        AND row.Settled >= now() - toIntervalSecond({gone_seconds:UInt32})
    GROUP BY row.TraceId, row.Sorted
)
GROUP BY TraceId
HAVING countIf(NOT Dead) != 1 AND max(Last) < bitNot(toUInt128(0))
LIMIT {most:UInt32}
-- On a cluster a trace lives on one shard: subqueries about it run there (distributed_product_mode).
SETTINGS distributed_product_mode = 'local'
