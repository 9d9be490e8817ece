-- Tombstones in every place where a row of a deleted trace lives; none outranks them.
INSERT INTO spanhouse_trace_rows (Sorted, TraceId, Version, Gone, Key, Settled, Timestamp)
SELECT Sorted, TraceId, bitNot(toUInt128(0)), 1, Key, now(), Timestamp
FROM spanhouse_trace_rows FINAL
WHERE TraceId IN (SELECT deleted.TraceId FROM spanhouse_deleted_traces AS deleted WHERE deleted.TraceId IN {trace_ids:Array(String)})
-- On a cluster all of a trace is on one shard, so what is asked of the trace's rows in other tables is asked there (distributed_product_mode).
SETTINGS optimize_on_insert = 0, max_partitions_per_insert_block = 0, distributed_product_mode = 'local'
