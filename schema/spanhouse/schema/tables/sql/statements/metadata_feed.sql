INSERT INTO spanhouse_metadata (Day, Key, Values)
SELECT toDate32(Timestamp) AS Day, Item.1 AS Key, groupUniqArray(256)(Item.2) AS Values
FROM spanhouse_trace_rows
ARRAY JOIN CAST(Metadata, 'Array(Tuple(String, String))') AS Item
WHERE Settled >= {since:DateTime} AND NOT Gone AND length(Item.2) BETWEEN 1 AND 256
GROUP BY Day, Key
