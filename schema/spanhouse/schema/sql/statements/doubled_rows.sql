-- Traces that have rows in two places, though they stand at their starts: two processes settled one at a time when its root moved, and the slower
-- one wrote last.
SELECT TraceId
FROM
(
    SELECT TraceId, Sorted, argMax(Gone, Version) AS Dead
    FROM spanhouse_trace_rows
    WHERE Sorted > toDateTime64(0, 9, 'UTC') AND Settled >= now() - toIntervalSecond({seconds:UInt32}) AND Key IN (
        SELECT recent.Key
        FROM spanhouse_trace_rows AS recent
        WHERE recent.Sorted > toDateTime64(0, 9, 'UTC') AND recent.Settled >= now() - toIntervalSecond({seconds:UInt32})
        GROUP BY recent.Key
        HAVING min(recent.Sorted) != max(recent.Sorted))
    GROUP BY TraceId, Sorted
    HAVING NOT Dead
)
GROUP BY TraceId
HAVING count() > 1
LIMIT {most:UInt32}
-- On a cluster all of a trace is on one shard, so what is asked of the trace's rows in other tables is asked there (distributed_product_mode).
SETTINGS distributed_product_mode = 'local'
