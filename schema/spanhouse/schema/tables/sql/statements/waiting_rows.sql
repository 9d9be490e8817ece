-- The partition of traces that wait for their roots, if it has so many rows that most are tombstones or replaced.
SELECT _partition_id
FROM spanhouse_trace_rows
WHERE Sorted = toDateTime64(0, 9, 'UTC')
    -- On a cluster a partition can't be merged through the table; the engine cleans it by age.
    AND (SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'spanhouse_trace_rows' AND engine = 'Distributed') = 0
GROUP BY _partition_id
HAVING count() >= {least:UInt32}
