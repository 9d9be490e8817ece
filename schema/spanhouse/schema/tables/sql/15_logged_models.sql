CREATE VIEW IF NOT EXISTS logged_models AS
SELECT
    part.ModelId AS ModelId,
    max(part.Name) AS Name,
    max(part.Params) AS Params,
    min(part.FirstSeen) AS FirstSeen,
    max(part.LastSeen) AS LastSeen,
    min(part.FirstCommit).commit AS FirstCommit,
    max(part.LastCommit).commit AS LastCommit
FROM spanhouse_models AS part
GROUP BY part.ModelId
COMMENT 'Models as applications name them';
