-- Traces without root that got no span for a while, and whether their row has to be made anew first: its root is in doubt, or another row lives.
-- Two rows come of a span that comes in the moment in which its trace is given its place. They are made one at once.
WITH
    open.Key IN (
        SELECT placed.Key FROM spanhouse_trace_rows AS placed
        WHERE placed.Sorted > toDateTime64(0, 9, 'UTC')
            AND placed.Key IN (SELECT waits.Key FROM spanhouse_trace_rows AS waits WHERE waits.Sorted = toDateTime64(0, 9, 'UTC'))) AS double
SELECT open.TraceId, double OR (open.Doubt AND NOT open.Partial)
FROM spanhouse_trace_rows AS open FINAL
WHERE open.Sorted = toDateTime64(0, 9, 'UTC') AND (double OR open.Settled <= now() - toIntervalSecond({seconds:UInt32}))
ORDER BY open.TraceId
LIMIT {most:UInt32}
-- On a cluster all of a trace is on one shard, so what is asked of the trace's rows in other tables is asked there (distributed_product_mode).
SETTINGS distributed_product_mode = 'local'
