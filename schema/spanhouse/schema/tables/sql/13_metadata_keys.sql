-- Complete is 0 for a key that has more values than metadata_values holds.
CREATE VIEW IF NOT EXISTS metadata_keys AS
SELECT
    Key,
    min(Day) AS FirstDay,
    max(Day) AS LastDay,
    length(groupUniqArrayArray(DayValues)) AS Values,
    max(length(DayValues)) < 256 AS Complete
FROM
(
    SELECT
        part.Key AS Key,
        part.Day AS Day,
        groupUniqArrayArray(256)(part.Values) AS DayValues
    FROM spanhouse_metadata AS part
    GROUP BY part.Key, part.Day
)
GROUP BY Key
COMMENT 'Keys of metadata';
