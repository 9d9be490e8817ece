-- As settled_rows, for a trace with very many spans. Root, state, metadata and tags come from {settled}, merged from parts that tell of no span by
-- itself; what is counted and summed comes from sorting and grouping the spans, for which the engine uses the disk where memory is short.
-- Only here a span's tokens and cost count less those of its direct children alone: a silent child hands on nothing.
SELECT
    row.* REPLACE (
        spans.Spans AS SpanCount,
        spans.Errors AS ErrorCount,
        spans.Stamps AS Stamped,
        times.Stored - spans.Spans + row.Copies AS Copies,
        spans.Input AS InputTokens,
        spans.Output AS OutputTokens,
        NULL AS CachedTokens,
        NULL AS ReasoningTokens,
        spans.Price AS Cost,
        if(spans.Price IS NULL, '', 'sent') AS CostSource,
        spans.Took.1.1 AS `Services.Name`,
        spans.Took.1.2 AS `Services.Version`,
        spans.Took.1.3 AS `Services.Commit`,
        spans.Took.1.4 AS `Services.Branch`,
        spans.Took.1.5 AS `Services.Environment`,
        spans.Took.2 AS `Services.Spans`,
        spans.Took.3 AS `Services.Errors`,
        spans.Took.4 AS `Services.SelfTime`,
        toUnixTimestamp64Nano(row.Timestamp) - times.First AS Before,
        times.Latest - toUnixTimestamp64Nano(row.Timestamp) AS After)
FROM
(
    {settled}
) AS row
INNER JOIN
(
    SELECT TraceId AS Of, count() AS Stored, min(toUnixTimestamp64Nano(Timestamp)) AS First, max(toUnixTimestamp64Nano(Timestamp)) AS Latest
    FROM {spans}
    GROUP BY TraceId
) AS times ON row.TraceId = times.Of
INNER JOIN
(
    SELECT
        TraceId AS OfSpans,
        sum(Count) AS Spans,
        sum(Failed) AS Errors,
        sum(Marked) AS Stamps,
        if(sum(Inputs) > 0, sum(InputSum), NULL) AS Input,
        if(sum(Outputs) > 0, sum(OutputSum), NULL) AS Output,
        if(sum(Priced) > 0, sum(CostSum), NULL) AS Price,
        arraySort(groupArray((Owner, Count, Failed, Self))) AS Took
    FROM
    (
        SELECT
            TraceId,
            owner,
            count() AS Count,
            sum(error) AS Failed,
            sum(stamped) AS Marked,
            sum(duration - least(duration, below_duration)) AS Self,
            countIf(input >= 0) AS Inputs,
            sumIf(greatest(0, input - below_input), input >= 0) AS InputSum,
            countIf(output >= 0) AS Outputs,
            sumIf(greatest(0, output - below_output), output >= 0) AS OutputSum,
            countIf(cost >= 0) AS Priced,
            sumIf(greatest(0, cost - below_cost), cost >= 0) AS CostSum
        FROM
        (
            -- Each span twice: as itself, and as a child of its parent.
            SELECT
                TraceId,
                node.1 AS id,
                sumIf(s.owner, node.2) AS owner,
                sumIf(s.error, node.2) AS error,
                sumIf(s.stamped, node.2) AS stamped,
                sumIf(toFloat64(s.duration), node.2) AS duration,
                sumIf(s.input, node.2) AS input,
                sumIf(s.output, node.2) AS output,
                sumIf(s.cost, node.2) AS cost,
                sumIf(toFloat64(s.duration), NOT node.2) AS below_duration,
                sumIf(greatest(s.input, 0), NOT node.2) AS below_input,
                sumIf(greatest(s.output, 0), NOT node.2) AS below_output,
                sumIf(greatest(s.cost, 0), NOT node.2) AS below_cost
            FROM
            (
                -- Of a span's copies the stamped one counts, then the greater one.
                WITH text -> if((toFloat64OrDefault(text, -1.) AS number) >= 0 AND number < 1e18, number, -1) AS to_number
                SELECT
                    span.TraceId AS TraceId,
                    cityHash64(span.SpanId) AS id,
                    process.stamped AS stamped,
                    toUnixTimestamp64Nano(span.Timestamp) AS start,
                    span.Duration AS duration,
                    span.StatusCode IN ('Error', 'STATUS_CODE_ERROR') AS error,
                    if(span.ParentSpanId = '' OR span.ParentSpanId = span.SpanId, 0, cityHash64(span.ParentSpanId)) AS parent,
                    process.owner AS owner,
                    to_number(span.SpanAttributes['gen_ai.usage.input_tokens']) AS input,
                    to_number(span.SpanAttributes['gen_ai.usage.output_tokens']) AS output,
                    to_number(span.SpanAttributes['gen_ai.usage.cost']) AS cost
                FROM {spans} AS span
                INNER JOIN {owners} AS process ON cityHash64(span.ResourceAttributes) = process.resource AND span.ServiceName = process.service
                WHERE span.SpanId != ''
                ORDER BY TraceId, id, stamped DESC, start DESC, duration DESC, error DESC, parent DESC, owner DESC, input DESC, output DESC, cost DESC
                LIMIT 1 BY TraceId, id
            ) AS s
            ARRAY JOIN [(s.id, 1), (s.parent, 0)] AS node
            GROUP BY TraceId, id
            HAVING max(node.2)
        )
        GROUP BY TraceId, owner
    ) AS by_owner
    INNER JOIN (SELECT owner, any(Owner) AS Owner FROM {owners} GROUP BY owner) AS named USING owner
    GROUP BY TraceId
) AS spans ON row.TraceId = spans.OfSpans
