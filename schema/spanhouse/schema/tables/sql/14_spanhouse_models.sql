-- Models as applications name them (set_active_model), with the commits of the processes in which they were active.
CREATE TABLE IF NOT EXISTS spanhouse_models
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
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Internal: models as applications name them';
