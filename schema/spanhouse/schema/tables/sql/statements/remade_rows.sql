-- Rows of some traces, merged from parts made of all their spans, with edits of tags, and with tombstones for every other place of the trace.
-- A trace without root is stored at its start if it is {quiet} or was at a start before. Tombstones go first, see settle.sql; for that, all but
-- those of open rows must be of one day.
INSERT INTO spanhouse_trace_rows (Sorted, Version, Gone, {columns})
WITH
    (Rank = 0 OR {quiet:UInt8} OR arrayExists(place -> toUnixTimestamp64Nano(place.1) > 0, live.Places)) AS placed,
    if(placed, {placed}, toDateTime64(0, 9, 'UTC')) AS target,
    made.Version + bitShiftLeft(toUInt128(if(empty(edits.Edits), 0, edits.Edits[1].1)), 16) AS version,
    -- Edits are sorted, the latest first: the first edit of a key counts.
    arrayFilter((edit, time) -> time = 1 AND edit.4 = 0, edits.Edits, arrayEnumerateUniq(edits.Edits.2)) AS kept
SELECT
    place.1,
    -- A tombstone outranks a row of fewer spans that a slower process may still write there.
    if(place.3, greatest(place.2, version) + 1, version),
    place.3,
    {columns}
FROM
(
    {settled}
) AS made
LEFT JOIN
(
    SELECT row.TraceId AS TraceId, groupArray((row.Sorted, row.Version)) AS Places
    FROM spanhouse_trace_rows AS row FINAL
    WHERE row.TraceId IN {trace_ids:Array(String)}
    GROUP BY row.TraceId
) AS live USING TraceId
LEFT JOIN
(
    SELECT edit.TraceId AS TraceId, arrayReverseSort(groupArray((toUnixTimestamp64Nano(edit.EditedAt), edit.Key, edit.Value, edit.Deleted))) AS Edits
    FROM trace_tags AS edit
    WHERE edit.TraceId IN {trace_ids:Array(String)}
    GROUP BY edit.TraceId
) AS edits USING TraceId
ARRAY JOIN arrayConcat(
    arrayMap(one -> (one.1, one.2, 1), arrayFilter(one -> one.1 != target, live.Places)),
    [(target, toUInt128(0), 0)]) AS place
-- A row elsewhere with a greater version, digests aside, was written after these spans were read: it stays.
WHERE NOT arrayExists(one -> one.1 != target AND bitShiftRight(one.2, 6) > bitShiftRight(version, 6), live.Places)
ORDER BY place.1 > toDateTime64(0, 9, 'UTC'), place.3 DESC
-- See settle.sql.
SETTINGS max_threads = 1, optimize_on_insert = 0, max_partitions_per_insert_block = 0,
    group_by_two_level_threshold = 0, group_by_two_level_threshold_bytes = 0, max_block_size = 4096,
    optimize_and_compare_chain = 0, query_plan_merge_expressions = 0
