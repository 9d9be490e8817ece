-- Traces among those that changed lately that have not one row: rows in two places, since two processes settled one at a time without taking turns;
-- or none, since a process was killed between the tombstone in one place and the row in another. Deleted traces have none for good.
SELECT TraceId
FROM
(
    SELECT row.TraceId AS TraceId, row.Sorted, argMax(row.Gone, row.Version) AS Dead, max(row.Version) AS Last
    FROM spanhouse_trace_rows AS row
    WHERE row.Key IN (
        SELECT recent.Key
        FROM spanhouse_trace_rows AS recent
        WHERE recent.Settled >= now() - toIntervalSecond({seconds:UInt32})
        GROUP BY recent.Key
        HAVING min(recent.Sorted) != max(recent.Sorted)
        UNION ALL
        SELECT gone.Key FROM spanhouse_trace_rows AS gone WHERE gone.Gone AND gone.Settled >= now() - toIntervalSecond({gone_seconds:UInt32}))
        -- The row that a tombstone goes with is not older.
        AND row.Settled >= now() - toIntervalSecond({gone_seconds:UInt32})
    GROUP BY row.TraceId, row.Sorted
)
GROUP BY TraceId
HAVING countIf(NOT Dead) != 1 AND max(Last) < bitNot(toUInt128(0))
LIMIT {most:UInt32}
-- On a cluster all of a trace is on one shard, so what is asked of the trace's rows in other tables is asked there (distributed_product_mode).
SETTINGS distributed_product_mode = 'local'
