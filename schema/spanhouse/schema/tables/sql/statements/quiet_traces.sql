-- Quiet traces without root, and whether their row must be remade first: its root is in doubt, or another row lives. Two rows arise if a span
-- comes in the moment in which its trace gets its place; remaking makes them one.
WITH
    open.TraceHash IN (
        SELECT placed.TraceHash FROM spanhouse_trace_rows AS placed
        WHERE placed.Sorted > toDateTime64(0, 9, 'UTC')
            AND placed.TraceHash IN (SELECT waits.TraceHash FROM spanhouse_trace_rows AS waits WHERE waits.Sorted = toDateTime64(0, 9, 'UTC'))) AS double
SELECT open.TraceId, double OR (open.Doubt AND NOT open.Partial)
FROM spanhouse_trace_rows AS open FINAL
WHERE open.Sorted = toDateTime64(0, 9, 'UTC') AND (double OR open.Settled <= now() - toIntervalSecond({seconds:UInt32}))
ORDER BY open.TraceId
LIMIT {most:UInt32}
-- On a cluster a trace lives on one shard: subqueries about it run there (distributed_product_mode).
SETTINGS distributed_product_mode = 'local'
