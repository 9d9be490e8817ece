-- When the spans of a trace began: what Grafana's ClickHouse datasource asks before it reads a trace. Names and types are those of the
-- Collector's exporter, which makes table and view itself where it does not find them.
CREATE TABLE IF NOT EXISTS otel_traces_trace_id_ts
(
    TraceId String CODEC(ZSTD(1)),
    Start SimpleAggregateFunction(min, DateTime) CODEC(ZSTD(1)),
    End SimpleAggregateFunction(max, DateTime) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toStartOfWeek(Start)
ORDER BY TraceId
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_trace_id_ts_mv TO otel_traces_trace_id_ts AS
SELECT
    TraceId,
    min(Timestamp) AS Start,
    max(Timestamp) AS End
FROM otel_traces
WHERE TraceId != ''
GROUP BY TraceId;

-- What was set or deleted after the trace was stored: the last edit of a key wins.
CREATE TABLE IF NOT EXISTS trace_tags
(
    TraceId String CODEC(ZSTD(1)),
    Key String CODEC(ZSTD(1)),
    Value String CODEC(ZSTD(1)),
    EditedAt DateTime64(9) DEFAULT now64(9) CODEC(Delta(8), ZSTD(1)),
    Deleted UInt8 DEFAULT 0
)
ENGINE = ReplacingMergeTree(EditedAt, Deleted)
ORDER BY (TraceId, Key)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Values of metadata by day, for those who choose from a list. Of a key that has more than 256 in a day, such as a session, some 256 are
-- kept, so that none can fill the table. Texts over 256 bytes are nothing to choose from.
CREATE TABLE IF NOT EXISTS metadata_parts
(
    Day Date32 CODEC(ZSTD(1)),
    Key String CODEC(ZSTD(1)),
    Values SimpleAggregateFunction(groupUniqArrayArray(256), Array(String)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(Day)
ORDER BY (Key, Day)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS trace_carriers_to_metadata TO metadata_parts AS
SELECT
    toDate32(Timestamp) AS Day,
    Item.1 AS Key,
    groupUniqArray(256)(Item.2) AS Values
FROM trace_carriers
ARRAY JOIN CAST(mapConcat(ProcessMetadata, TraceMetadata), 'Array(Tuple(String, String))') AS Item
WHERE length(Item.2) BETWEEN 1 AND 256
GROUP BY Day, Key;

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
    FROM metadata_parts AS part
    GROUP BY part.Key, part.Day
)
GROUP BY Key, Value;

-- Complete is 0 for a key whose values are not all in metadata_values.
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
    FROM metadata_parts AS part
    GROUP BY part.Key, part.Day
)
GROUP BY Key;

-- Models as applications name them, see set_active_model. Commits are those of the processes that the model was active in.
CREATE TABLE IF NOT EXISTS logged_models_parts
(
    ModelId String CODEC(ZSTD(1)),
    Name SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    Params SimpleAggregateFunction(max, Map(String, String)) CODEC(ZSTD(1)),
    FirstSeen SimpleAggregateFunction(min, DateTime64(9)),
    LastSeen SimpleAggregateFunction(max, DateTime64(9)),
    FirstCommit SimpleAggregateFunction(min, Tuple(at DateTime64(9), commit String)),
    LastCommit SimpleAggregateFunction(max, Tuple(at DateTime64(9), commit String))
)
ENGINE = AggregatingMergeTree
ORDER BY ModelId
SETTINGS non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS trace_carriers_to_models TO logged_models_parts AS
WITH
    mapUpdate(ProcessMetadata, TraceMetadata)['mlflow.source.git.commit'] AS Commit,
    -- Without a commit a row says nothing of the first and the last one: it is put where it is neither.
    (if(Commit = '', toDateTime64('2262-04-11 23:47:16', 9, 'UTC'), Timestamp), Commit) AS First,
    (if(Commit = '', toDateTime64(0, 9, 'UTC'), Timestamp), Commit) AS Last,
    mapFilter((k, v) -> startsWith(k, 'mlflow.model.params.'), ProcessMetadata) AS Found
SELECT
    arrayJoin(arrayDistinct(arrayFilter(id -> id != '', [ProcessMetadata['mlflow.modelId'], TraceMetadata['mlflow.modelId']]))) AS ModelId,
    max(if(ModelId = ProcessMetadata['mlflow.modelId'], ProcessMetadata['mlflow.model.name'], '')) AS Name,
    max(CAST(mapApply((k, v) -> (substring(k, 21), v), if(ModelId = ProcessMetadata['mlflow.modelId'], Found, map())), 'Map(String, String)')) AS Params,
    min(Timestamp) AS FirstSeen,
    max(Timestamp) AS LastSeen,
    min(First) AS FirstCommit,
    max(Last) AS LastCommit
FROM trace_carriers
WHERE mapContains(ProcessMetadata, 'mlflow.modelId') OR mapContains(TraceMetadata, 'mlflow.modelId')
GROUP BY ModelId;

CREATE VIEW IF NOT EXISTS logged_models AS
SELECT
    part.ModelId AS ModelId,
    max(part.Name) AS Name,
    max(part.Params) AS Params,
    min(part.FirstSeen) AS FirstSeen,
    max(part.LastSeen) AS LastSeen,
    min(part.FirstCommit).commit AS FirstCommit,
    max(part.LastCommit).commit AS LastCommit
FROM logged_models_parts AS part
GROUP BY part.ModelId;
