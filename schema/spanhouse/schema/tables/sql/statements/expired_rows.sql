-- Rows of traces whose spans have expired: as stored, with edits of tags, and with counts raised by the spans that are left.
INSERT INTO spanhouse_trace_rows (Sorted, Version, Gone, {columns})
WITH arrayFilter((edit, time) -> time = 1 AND edit.4 = 0, edits.Edits, arrayEnumerateUniq(edits.Edits.2)) AS kept
SELECT
    Sorted,
    greatest(Version + 65536, bitShiftLeft(bitShiftRight(Version, 80), 80) + bitShiftLeft(toUInt128(if(empty(edits.Edits), 0, edits.Edits[1].1)), 16)),
    0,
    {columns}
FROM
(
    SELECT Sorted, Version, {columns}
    FROM spanhouse_trace_rows FINAL
    WHERE TraceId IN {trace_ids:Array(String)}
) AS stored
LEFT JOIN
(
    SELECT TraceId, uniqExact(SpanId) AS Spans, uniqExactIf(SpanId, StatusCode IN ('Error', 'STATUS_CODE_ERROR')) AS Errors
    FROM {spans}
    WHERE SpanId != ''
    GROUP BY TraceId
) AS left_over USING TraceId
LEFT JOIN
(
    SELECT edit.TraceId AS TraceId, arrayReverseSort(groupArray((toUnixTimestamp64Nano(edit.EditedAt), edit.Key, edit.Value, edit.Deleted))) AS Edits
    FROM trace_tags AS edit
    WHERE edit.TraceId IN {trace_ids:Array(String)}
    GROUP BY edit.TraceId
) AS edits USING TraceId
SETTINGS max_threads = 1, optimize_on_insert = 0, max_partitions_per_insert_block = 0
