-- Traces for which parts were made: their spans, whether one of {roots} is among them, and their models. Deleted traces are left out.
SELECT
    TraceId,
    uniqExactArray(`Spans.id`),
    length(arrayIntersect(groupArrayArray(`Spans.id`), arrayMap(root -> cityHash64(root), {roots:Array(String)}))) > 0,
    groupUniqArrayArray(arrayMap(word -> trim(BOTH '"' FROM substring(word, 2)), arrayFilter(word -> startsWith(word, {letter(model)}), Words)))
FROM spanhouse_trace_parts
WHERE Received >= {since:DateTime64(3)} AND Arrival = {arrival:UInt64}
    AND TraceId NOT IN (SELECT deleted.TraceId FROM spanhouse_deleted_traces AS deleted WHERE deleted.TraceId IN {trace_ids:Array(String)})
GROUP BY TraceId
-- On a cluster a trace lives on one shard: subqueries about it run there (distributed_product_mode).
SETTINGS distributed_product_mode = 'local'
