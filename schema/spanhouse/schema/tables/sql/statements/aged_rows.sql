-- Moves quiet traces without root to their starts; tombstones of their open rows go first, see settle.sql. A row whose root came into doubt
-- waits for the next round.
INSERT INTO spanhouse_trace_rows (Sorted, Version, Gone, {columns})
SELECT place.1, place.2, place.3, {columns}
FROM
(
    SELECT Version, {columns}
    FROM spanhouse_trace_rows FINAL
    WHERE Sorted = toDateTime64(0, 9, 'UTC') AND TraceId IN {trace_ids:Array(String)} AND NOT (Doubt AND NOT Partial)
)
ARRAY JOIN [(toDateTime64(0, 9, 'UTC'), Version + 1, 1), ({placed}, Version, 0)] AS place
ORDER BY place.1 > toDateTime64(0, 9, 'UTC')
SETTINGS max_threads = 1, optimize_on_insert = 0, max_partitions_per_insert_block = 0
