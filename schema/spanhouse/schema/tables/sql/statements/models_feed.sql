INSERT INTO spanhouse_models (ModelId, Name, Params, FirstSeen, LastSeen, FirstCommit, LastCommit)
WITH
    -- A row without commit must be neither the first nor the last one.
    (if(GitCommit = '', toDateTime64('2262-04-11 23:47:16', 9, 'UTC'), Timestamp), CAST(GitCommit, 'String')) AS First,
    (if(GitCommit = '', toDateTime64(0, 9, 'UTC'), Timestamp), CAST(GitCommit, 'String')) AS Last
SELECT
    ModelId,
    max(Metadata['mlflow.model.name']) AS Name,
    max(CAST(mapApply((k, v) -> (substring(k, 21), v), mapFilter((k, v) -> startsWith(k, 'mlflow.model.params.'), Metadata)), 'Map(String, String)')) AS Params,
    min(Timestamp) AS FirstSeen,
    max(Timestamp) AS LastSeen,
    min(First) AS FirstCommit,
    max(Last) AS LastCommit
FROM spanhouse_trace_rows
WHERE Settled >= {since:DateTime} AND NOT Gone AND ModelId != ''
GROUP BY ModelId
