-- Rows of the traces that some arrivals touched, merged from all their parts at hand. If a root comes to a trace that had parts before, the
-- tombstone of the row without root goes first, so that no reader sees both: the partitions of an insert become visible one after the other,
-- in the order of their first rows. Hence the sort.
INSERT INTO spanhouse_trace_rows (Sorted, Version, Gone, {columns})
{settled}
ARRAY JOIN Places AS place
ORDER BY place.1 > toDateTime64(0, 9, 'UTC')
-- On a cluster a trace lives on one shard: subqueries about it run there (distributed_product_mode).
-- Two-level aggregation would give 256 small blocks, and every expression runs once per block: half of the time of a large settle.
SETTINGS max_threads = 1, optimize_on_insert = 0, max_partitions_per_insert_block = 0, distributed_product_mode = 'local',
    group_by_two_level_threshold = 0, group_by_two_level_threshold_bytes = 0, max_block_size = 4096,
    optimize_and_compare_chain = 0, query_plan_merge_expressions = 0
