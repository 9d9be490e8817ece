-- Tombstones in every place of a deleted trace; nothing outranks them.
INSERT INTO spanhouse_trace_rows (Sorted, TraceId, Version, Gone, TraceHash, Settled, Timestamp)
SELECT Sorted, TraceId, bitNot(toUInt128(0)), 1, TraceHash, now(), Timestamp
FROM spanhouse_trace_rows FINAL
WHERE TraceId IN (SELECT deleted.TraceId FROM spanhouse_deleted_traces AS deleted WHERE deleted.TraceId IN {trace_ids:Array(String)})
-- On a cluster a trace lives on one shard: subqueries about it run there (distributed_product_mode).
SETTINGS optimize_on_insert = 0, max_partitions_per_insert_block = 0, distributed_product_mode = 'local'
