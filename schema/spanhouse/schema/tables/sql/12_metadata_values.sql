CREATE VIEW IF NOT EXISTS metadata_values AS
SELECT
    Key,
    Value,
    min(Day) AS FirstDay,
    max(Day) AS LastDay
FROM
(
    SELECT
        part.Key AS Key,
        part.Day AS Day,
        arrayJoin(groupUniqArrayArray(256)(part.Values)) AS Value
    FROM spanhouse_metadata AS part
    GROUP BY part.Key, part.Day
)
GROUP BY Key, Value
COMMENT 'Values of metadata, by key';
