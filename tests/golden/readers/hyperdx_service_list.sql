-- HyperDX, values and numbers of one facet.
-- From hyperdxio/hyperdx, packages/common-utils/src/core/metadata.ts (getKeyValues).
WITH sampledData AS (
    SELECT ServiceName AS param0, ResourceAttributes['service.version'] AS param1 FROM <database>.otel_traces
    WHERE (Timestamp >= fromUnixTimestamp64Milli(<from>000) AND Timestamp <= fromUnixTimestamp64Milli(<to>000)) LIMIT 100000
)
SELECT groupUniqArray(20)(param0) AS param0, groupUniqArray(20)(param1) AS param1 FROM sampledData
