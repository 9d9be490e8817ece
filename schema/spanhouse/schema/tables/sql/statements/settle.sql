-- The rows of traces that some arrivals touched, merged from all their parts at hand. Where a root comes to a trace that had parts before, the
-- tombstone of the row without root goes first: so no reader sees both. An insert's partitions become visible one after the other, in the order in
-- which the first row of each comes: hence the sort.
INSERT INTO spanhouse_trace_rows (Sorted, Version, Gone, {columns})
{settled}
ARRAY JOIN Places AS place
ORDER BY place.1 > toDateTime64(0, 9, 'UTC')
-- On a cluster all of a trace is on one shard, so what is asked of the trace's rows in other tables is asked there (distributed_product_mode).
-- Groups in two levels would come as 256 small blocks, each of which runs all expressions anew: half of the time of a large settle.
SETTINGS max_threads = 1, optimize_on_insert = 0, max_partitions_per_insert_block = 0, distributed_product_mode = 'local',
    group_by_two_level_threshold = 0, group_by_two_level_threshold_bytes = 0, max_block_size = 4096,
    optimize_and_compare_chain = 0, query_plan_merge_expressions = 0
