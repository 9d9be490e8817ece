-- Traces with a row older than the last edit of their tags, and deleted traces that still have a row.
SELECT TraceId
FROM
(
    SELECT edited.TraceId AS TraceId
    FROM
    (
        SELECT edit.TraceId AS TraceId, max(toUnixTimestamp64Nano(edit.EditedAt)) AS LastNs
        FROM trace_tags AS edit
        GROUP BY edit.TraceId
    ) AS edited
    INNER JOIN
    (
        SELECT row.TraceId AS TraceId, min(toUInt64(bitAnd(bitShiftRight(row.Version, 16), 0xFFFFFFFFFFFFFFFF))) AS SeenNs
        FROM spanhouse_trace_rows AS row FINAL
        WHERE row.TraceId IN (SELECT TraceId FROM trace_tags)
        GROUP BY row.TraceId
    ) AS seen USING TraceId
    WHERE seen.SeenNs < edited.LastNs
    UNION DISTINCT
    SELECT row.TraceId
    FROM spanhouse_trace_rows AS row FINAL
    WHERE row.TraceId IN (SELECT deleted.TraceId FROM spanhouse_deleted_traces AS deleted)
)
LIMIT {most:UInt32}
-- On a cluster a trace lives on one shard: subqueries about it run there (distributed_product_mode).
SETTINGS distributed_product_mode = 'local'
