-- Processes of spans: their service and version, and whether they are stamped; the same expressions as in settled_rows.
SELECT
    resource,
    {effective(process)} AS known,
    (known['service.name'], known['app_version'], known['mlflow.source.git.commit'], known['mlflow.source.git.branch'], known['mlflow.source.type']) AS Owner,
    cityHash64(Owner) AS owner,
    toUInt8(known['mlflow.source.git.commit'] != '' OR known['mlflow.source.name'] != '') AS stamped
FROM
(
    SELECT cityHash64(ResourceAttributes) AS resource, any(ResourceAttributes) AS process
    FROM {spans}
    GROUP BY resource
)
