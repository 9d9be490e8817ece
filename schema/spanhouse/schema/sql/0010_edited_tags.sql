-- The view of 0006, with what was edited after the trace was stored (trace_tags) over the tags that its spans carry: the last edit of a key
-- counts, and a deleted key is gone. All else is as it was. A condition on TraceId reaches both sides of the join.
CREATE OR REPLACE VIEW traces AS
WITH
    (root, latest) -> if(root != '', root, latest) AS root_else_latest,
    (begin, found) -> arrayFold((merged, one) -> mapUpdate(merged, one.4), arraySort(arrayMap(one -> (one.2 = RootId, one.1, one.2, one.3), found)), begin) AS root_last,
    -- A span that repeats the sum of its children is not counted again.
    arrayFilter(span -> NOT has(Spenders, span.1), AllSpans) AS Spent,
    mapUpdate(root_last(CAST(map(), 'Map(String, String)'), TagSets), CAST(if(Name = '', map(), map('mlflow.traceName', Name)), 'Map(String, String)')) AS Sent,
    -- Edits come with the latest first: of each key the first one counts.
    arrayFilter((edit, place) -> edit.4 = 0 AND place = 1, Edits, arrayEnumerateUniq(Edits.2)) AS Kept
SELECT
    TraceId,
    Timestamp,
    Duration,
    Name,
    ServiceName,
    multiIf(
        SetState IN ('OK', 'ERROR', 'IN_PROGRESS', 'STATE_UNSPECIFIED'), SetState,
        RootRank = 3, 'IN_PROGRESS',
        RootStatus IN ('Error', 'STATUS_CODE_ERROR'), 'ERROR',
        'OK') AS State,
    length(arrayDistinct(AllSpans.1)) AS SpanCount,
    length(arrayDistinct(arrayFilter((id, error) -> error, AllSpans.1, AllSpans.2))) AS ErrorCount,
    Metadata['mlflow.trace.session'] AS SessionId,
    Metadata['mlflow.trace.user'] AS UserId,
    Metadata['mlflow.modelId'] AS ModelId,
    root_else_latest(RootRequestId, LatestRequestId) AS ClientRequestId,
    root_else_latest(RootRequest, LatestRequest) AS RequestPreview,
    root_else_latest(RootResponse, LatestResponse) AS ResponsePreview,
    arraySum(Spent.3) AS InputTokens,
    arraySum(Spent.4) AS OutputTokens,
    nullIf(arraySum(Spent.5), 0) AS Cost,
    root_last(CAST(RootProcess, 'Map(String, String)'), TraceMetadatas) AS Metadata,
    if(empty(Edits), Sent, mapUpdate(mapFilter((k, v) -> NOT has(Edits.2, k), Sent), mapFromArrays(Kept.2, Kept.3))) AS Tags,
    if(RootRank = 3, '', RootId) AS RootSpanId
FROM
(
    WITH
        (part.Rank, part.Timestamp, part.SpanId) AS Place,
        (part.Timestamp, part.SpanId) AS Later
    SELECT
        part.TraceId AS TraceId,
        min(part.Rank) AS RootRank,
        argMin(part.SpanId, Place) AS RootId,
        argMin(part.Timestamp, Place) AS Timestamp,
        argMin(part.Duration, Place) AS Duration,
        argMin(part.Name, Place) AS Name,
        argMin(part.ServiceName, Place) AS ServiceName,
        argMin(part.StatusCode, Place) AS RootStatus,
        if(argMin(part.State, Place) != '', argMin(part.State, Place), argMaxIf(part.State, Later, part.State != '')) AS SetState,
        argMin(part.ClientRequestId, Place) AS RootRequestId,
        argMaxIf(part.ClientRequestId, Later, part.ClientRequestId != '') AS LatestRequestId,
        argMin(part.RequestPreview, Place) AS RootRequest,
        argMaxIf(part.RequestPreview, Later, part.RequestPreview != '') AS LatestRequest,
        argMin(part.ResponsePreview, Place) AS RootResponse,
        argMaxIf(part.ResponsePreview, Later, part.ResponsePreview != '') AS LatestResponse,
        -- argMin of a map costs four times what sorting the one map there is does.
        arraySort(groupArrayIf((Place, part.ProcessMetadata), part.Rank < 3))[1].2 AS RootProcess,
        groupArrayIf((part.Timestamp, part.SpanId, CAST(part.TraceMetadata, 'Map(String, String)')), notEmpty(part.TraceMetadata)) AS TraceMetadatas,
        groupArrayIf((part.Timestamp, part.SpanId, CAST(part.Tags, 'Map(String, String)')), notEmpty(part.Tags)) AS TagSets,
        groupUniqArrayArray(arrayZip(part.Spans.id, part.Spans.error, part.Spans.input_tokens, part.Spans.output_tokens, part.Spans.cost)) AS AllSpans,
        groupUniqArrayArray(part.SpendingParents) AS Spenders
    FROM trace_carriers AS part
    GROUP BY part.TraceId
) AS whole
LEFT ANY JOIN
(
    SELECT
        TraceId,
        arrayReverseSort(groupArray((EditedAt, Key, Value, Deleted))) AS Edits
    FROM trace_tags
    GROUP BY TraceId
) AS edits USING TraceId;
