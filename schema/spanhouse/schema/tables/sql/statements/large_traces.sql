-- made_traces for very many spans, read from the spans: their number, whether one of {roots} is among them, and their models. Deleted traces
-- are left out.
SELECT
    TraceId,
    uniqExact(cityHash64(SpanId)),
    countIf(SpanId IN {roots:Array(String)}) > 0,
    groupUniqArrayArray(arrayMap(model -> trim(BOTH '"' FROM model), mapValues(mapFilter((k, v) -> k IN ({keys(model)}), SpanAttributes))))
FROM {spans}
WHERE SpanId != ''
    AND TraceId NOT IN (SELECT deleted.TraceId FROM spanhouse_deleted_traces AS deleted WHERE deleted.TraceId IN {trace_ids:Array(String)})
GROUP BY TraceId
-- On a cluster a trace lives on one shard: subqueries about it run there (distributed_product_mode).
SETTINGS distributed_product_mode = 'local'
