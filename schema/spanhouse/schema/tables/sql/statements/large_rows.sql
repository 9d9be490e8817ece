-- settled_rows for a trace with very many spans. Root, state, metadata and tags come from {settled}, merged from parts without lists of spans.
-- Counts and sums come from sorting and grouping the spans, on disk where memory is short.
-- Tokens and cost of a span count less those of its direct children only: unlike in settled_rows, a silent child passes nothing on.
SELECT
    row.* EXCEPT Copies REPLACE (
        spans.Spans AS SpanCount,
        spans.Errors AS ErrorCount,
        spans.Numbers[1] AS InputTokens,
        spans.Numbers[2] AS OutputTokens,
        spans.Numbers[3] AS CachedTokens,
        spans.Numbers[4] AS ReasoningTokens,
        spans.Numbers[5] AS Cost,
        multiIf(spans.Numbers[5] IS NULL, '', spans.Computed, 'computed', 'sent') AS CostSource,
        if(spans.Numbers[5] IS NOT NULL AND spans.Computed, {price_version:String}, '') AS PriceVersion,
        spans.Took.1.1 AS `Services.Name`,
        spans.Took.1.2 AS `Services.Version`,
        spans.Took.1.3 AS `Services.Commit`,
        spans.Took.1.4 AS `Services.Branch`,
        spans.Took.1.5 AS `Services.Environment`,
        spans.Took.2 AS `Services.Spans`,
        spans.Took.3 AS `Services.Errors`,
        spans.Took.4 AS `Services.SelfTime`,
        toUnixTimestamp64Nano(row.Timestamp) - times.First AS Before,
        times.Latest - toUnixTimestamp64Nano(row.Timestamp) AS After),
    bitShiftLeft(toUInt128(spans.Spans), 96) + bitShiftLeft(toUInt128(least(spans.Stamps, 65535)), 80)
        + bitShiftLeft(least(times.Stored - spans.Spans + row.Copies, 1023), 6) + bitShiftLeft(NOT row.Doubt, 5)
        + bitAnd(cityHash64(row.Timestamp, row.RootSpanId, row.Rank, row.Name, row.State, row.Duration, spans.Numbers, row.Metadata, row.Tags, spans.Took), 31) AS Version
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
        max(Priced) AS Computed,
        arrayMap((sum, reports) -> if(reports > 0, sum, NULL), sumForEach(Sums), sumForEach(Reports)) AS Numbers,
        arraySort(groupArray((Owner, Count, Failed, Self))) AS Took
    FROM
    (
        SELECT
            TraceId,
            owner,
            count() AS Count,
            sum(error) AS Failed,
            sum(stamped) AS Marked,
            max(computed) AS Priced,
            sum(duration - least(duration, below_duration)) AS Self,
            sumForEach(arrayMap(number -> toUInt64(number >= 0), numbers)) AS Reports,
            sumForEach(arrayMap((number, under) -> if(number >= 0, greatest(0, number - under), 0), numbers, below)) AS Sums
        FROM
        (
            -- Each span twice: as itself, and as a child of its parent.
            SELECT
                TraceId,
                node.1 AS id,
                sumIf(s.owner, node.2) AS owner,
                sumIf(s.error, node.2) AS error,
                sumIf(s.stamped, node.2) AS stamped,
                maxIf(s.computed, node.2) AS computed,
                sumIf(toFloat64(s.duration), node.2) AS duration,
                arrayResize(sumForEachIf(s.numbers, node.2), 5) AS numbers,
                sumIf(toFloat64(s.duration), NOT node.2) AS below_duration,
                arrayResize(sumForEachIf(arrayMap(number -> greatest(number, 0), s.numbers), NOT node.2), 5) AS below
            FROM
            (
                -- The stamped copy of a span counts, then the greater one.
                SELECT
                    *,
                    arrayFirst(
                        price -> price.1 = model AND price.2 <= start,
                        {prices:Array(Tuple(String, Int64, Float64, Float64, Float64, Float64))}) AS price,
                    -- USD by the price of the span's model, if the span reports tokens and no cost.
                    toUInt8(cost < 0 AND price.1 != '' AND (input >= 0 OR output >= 0)) AS computed,
                    [input, output, cached, reasoning, if(computed, (
                        greatest(input - greatest(cached, 0), 0) * price.3 + least(greatest(cached, 0), greatest(input, 0)) * if(price.5 < 0, price.3, price.5)
                        + greatest(output - greatest(reasoning, 0), 0) * price.4 + least(greatest(reasoning, 0), greatest(output, 0)) * if(price.6 < 0, price.4, price.6)
                    ) / 1e6, cost)] AS numbers
                FROM
                (
                    WITH
                        {codes(span.SpanAttributes)} AS codes,
                        {sorted(span.SpanAttributes)} AS Values,
                        arrayMap(code -> intDiv(code, 16), arraySort(arrayFilter(code -> code > 0, codes))) AS Fields,
                        {numbers} AS Numbers
                    SELECT
                        span.TraceId AS TraceId,
                        cityHash64(span.SpanId) AS id,
                        process.stamped AS stamped,
                        toUnixTimestamp64Nano(span.Timestamp) AS start,
                        span.Duration AS duration,
                        span.StatusCode IN ('Error', 'STATUS_CODE_ERROR') AS error,
                        if(span.ParentSpanId = '' OR span.ParentSpanId = span.SpanId, 0, cityHash64(span.ParentSpanId)) AS parent,
                        process.owner AS owner,
                        process.resource AS resource,
                        {number(input_tokens)} AS input,
                        {number(output_tokens)} AS output,
                        {number(cached_tokens)} AS cached,
                        {number(reasoning_tokens)} AS reasoning,
                        {number(cost)} AS cost,
                        trim(BOTH '"' FROM {said(model)}) AS model
                    FROM {spans} AS span
                    INNER JOIN {owners} AS process ON cityHash64(span.ResourceAttributes) = process.resource
                    WHERE span.SpanId != ''
                )
                ORDER BY TraceId, id, stamped DESC, start DESC, duration DESC, error DESC, parent DESC, owner DESC, numbers DESC, resource DESC
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
