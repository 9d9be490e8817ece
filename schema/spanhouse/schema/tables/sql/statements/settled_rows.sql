-- Merges parts into rows of spanhouse_trace_rows, one for each trace of {parts}: a pure function of the spans that the parts describe.
-- Written for a cheap analysis, which is most of the cost of a small settle: few expressions, spans as tuples, and a step of its own for each
-- value that is used more than once, since the engine analyses an alias again at each use.
WITH
known AS
(
    SELECT
        *,
        -- Effective metadata of the process, and of the candidate with its own process keys over it.
        arrayMap(process -> {effective(process)}, if(empty(OwnProcess), [Process], [Process, mapUpdate(Process, OwnProcess)])) AS Known,
        arrayMap(
            word -> arrayFirst(price -> startsWith(word, {letter(model)}) AND price.1 = trim(BOTH '"' FROM substring(word, 2)) AND price.2 <= toUnixTimestamp64Nano(Start), {prices:Array(Tuple(String, Int64, Float64, Float64, Float64, Float64))}),
            Words) AS Prices
    FROM {parts}
),
headed AS
(
    WITH Known[1] AS OfProcess
    SELECT
        * EXCEPT (Known, Prices),
        Known[-1] AS Effective,
        (OfProcess['service.name'], OfProcess['app_version'], OfProcess['mlflow.source.git.commit'], OfProcess['mlflow.source.git.branch'], OfProcess['mlflow.source.type']) AS Owner,
        toUInt8(OfProcess['mlflow.source.git.commit'] != '' OR OfProcess['mlflow.source.name'] != '') AS Stamped,
        -- USD by the price of the span's model, if the span reports tokens and no cost.
        arrayMap(
            (cost, price, input, cached, output, reasoning) -> if(cost >= 0 OR price.1 = '' OR (input < 0 AND output < 0), cost, (
                greatest(input - greatest(cached, 0), 0) * price.3 + least(greatest(cached, 0), greatest(input, 0)) * if(price.5 < 0, price.3, price.5)
                + greatest(output - greatest(reasoning, 0), 0) * price.4 + least(greatest(reasoning, 0), greatest(output, 0)) * if(price.6 < 0, price.4, price.6)
            ) / 1e6),
            `Spans.cost`, arrayMap(word -> Prices[word], `Spans.model`), `Spans.input`, `Spans.cached`, `Spans.output`, `Spans.reasoning`) AS Costs,
        row_number() OVER (PARTITION BY TraceHash ORDER BY Rank, Start, SpanId, Stamped DESC, Owner, Duration DESC, StatusCode, Name, OwnProcess, OwnSession, OwnUser, OwnRequest, OwnResponse, Process) = 1 AS Head
    FROM known
),
merged AS
(
    -- The root is the first candidate. A group gathers the lists; a window would copy them for each part.
    SELECT
        part.TraceHash AS Hash,
        anyIf(part.TraceId, part.Head) AS TraceId,
        anyIf(part.Start, part.Head) AS Start,
        anyIf(part.SpanId, part.Head) AS SpanId,
        anyIf(part.Parent, part.Head) AS Parent,
        anyIf(part.Duration, part.Head) AS CandidateDuration,
        anyIf(part.Name, part.Head) AS CandidateName,
        anyIf(part.StatusCode, part.Head) AS StatusCode,
        anyIf(part.Rank, part.Head) AS CandidateRank,
        groupArrayIf(part.Effective, part.Head)[1] AS Effective,
        anyIf(part.Owner, part.Head).1 AS ServiceName,
        anyIf(part.OwnSession, part.Head) AS OwnSession,
        anyIf(part.OwnUser, part.Head) AS OwnUser,
        anyIf(part.OwnRequest, part.Head) AS OwnRequest,
        anyIf(part.OwnResponse, part.Head) AS OwnResponse,
        max(part.Session) AS LastSession,
        max(part.User) AS LastUser,
        minIf(part.Request, part.Request.code > 0) AS FirstRequest,
        maxIf(part.Response, part.Response.code > 0) AS LastResponse,
        groupArrayArray(part.TraceAttributes) AS AllTraceAttributes,
        groupUniqArray(part.Owner) AS Owners,
        groupArrayArray(arrayZip(
            part.`Spans.id`, arrayWithConstant(length(part.`Spans.id`) AS spans, part.Stamped), part.`Spans.start`, CAST(part.`Spans.duration`, 'Array(Float64)'),
            part.`Spans.error`, part.`Spans.parent`, arrayWithConstant(spans, cityHash64(part.Owner)), part.`Spans.input`, part.`Spans.output`,
            part.`Spans.cached`, part.`Spans.reasoning`, part.Costs, arrayWithConstant(spans, cityHash64(part.Process)))) AS AllSpans,
        -- The earliest span of a circle of parents is the root.
        if(CandidateRank = 3 AND hasAll(AllSpans.1, AllSpans.6), 2, CandidateRank) AS RootRank,
        groupUniqArrayArray(part.Words) AS AllWords,
        minIf(part.FirstError, part.FirstError.id != '') AS EarliestError,
        max(part.Costs != part.`Spans.cost`) AS Computed,
        min(part.Arrival) != max(part.Arrival) AS Several
    FROM headed AS part
    GROUP BY part.TraceHash
),
distinct_spans AS
(
    SELECT
        * EXCEPT (OwnSession, OwnUser, OwnRequest, OwnResponse, LastSession, LastUser, FirstRequest, LastResponse, AllWords),
        -- Precedence: the attribute's rank, then the root, then the latest span.
        if(RootRank < 3 AND OwnSession.value != '' AND OwnSession.code <= 999 - LastSession.rank, OwnSession.value, LastSession.value) AS SessionOf,
        if(RootRank < 3 AND OwnUser.value != '' AND OwnUser.code <= 999 - LastUser.rank, OwnUser.value, LastUser.value) AS UserOf,
        [
            if(RootRank < 3 AND OwnRequest.code > 0, OwnRequest, (FirstRequest.code, FirstRequest.value)),
            if(RootRank < 3 AND OwnResponse.code > 0, OwnResponse, (LastResponse.code, LastResponse.value))
        ] AS Messages,
        -- Precedence for each key: the root, then the latest span.
        arrayMap(
            pairs -> CAST(arrayFilter((pair, time) -> time = 1, pairs, arrayEnumerateUniq(pairs.1)), 'Map(String, String)'),
            [arrayFlatten(arrayMap(
                one -> CAST({told(one.attributes)}, 'Array(Tuple(String, String))'),
                arrayReverseSort(one -> (RootRank < 3 AND one.id = SpanId, one.start, one.id, arraySort(CAST(one.attributes, 'Array(Tuple(String, String))'))), AllTraceAttributes)))])[1] AS Last,
        arraySort(AllWords) AS Words,
        -- The stamped copy of a span counts, then the greater one.
        arrayReverse(arrayFilter((copy, time) -> time = 1, arrayReverseSort(AllSpans) AS copies, arrayEnumerateUniq(copies.1))) AS Spans
    FROM merged
),
family AS
(
    SELECT
        *,
        -- By span id: the number of its children, and 1 if the span is stored.
        arrayReduce(
            'sumMap',
            [arrayConcat(Spans.1, Spans.6)],
            [arrayConcat(arrayWithConstant(length(Spans), 0), arrayWithConstant(length(Spans), 1))],
            [arrayConcat(arrayWithConstant(length(Spans), 1), arrayWithConstant(length(Spans), 0))]) AS Ids,
        -- First place and number of each span's children, with children sorted by parent. Spans are sorted by id.
        arrayFilter((children, stored) -> stored > 0, arrayZip(arrayMap((last, kids) -> last - kids + 1, arrayCumSum(Ids.2), Ids.2), Ids.2), Ids.3) AS Children
    FROM distinct_spans
),
counted AS
(
    WITH
        -- Sums of children's values, in the order of their parents' ids.
        values -> arrayReduceInRanges('sum', Children, arraySort((value, parent) -> parent, values, Spans.6)) AS below
    SELECT
        *,
        -- Places of the trace's rows, with 1 for a tombstone.
        arrayConcat(
            if(RootRank > 0 OR Several, [(toDateTime64(0, 9, 'UTC'), toUInt8(RootRank = 0))], []),
            if(RootRank = 0, [(greatest(Start, fromUnixTimestamp64Nano(toInt64(1))), toUInt8(0))], [])) AS Places,
        arraySum(Spans.2) AS Stamped,
        arrayUniq(AllSpans) - length(Spans) + arrayUniq(AllTraceAttributes) AS Copies,
        arrayMap(own -> arrayMax(own) >= 0, [Spans.8, Spans.9, Spans.10, Spans.11, Spans.12]) AS Reported,
        -- A span adds its number less the sum of its nearest descendants that report the same number. A silent span passes on the sum below it:
        -- one step for each silent parent in a row.
        arrayMap(
            own -> arraySum((number, under) -> greatest(number, 0) - if(number < 0, 0, least(number, under)), own, below(arrayFold(
                (up, step) -> arrayMap((number, under) -> if(number < 0, under, number), own, below(up)),
                range(least(32, arrayCount((number, children) -> number < 0 AND children > 0, own, Children.2))),
                arrayMap(number -> greatest(number, 0), own)))),
            arrayFilter((own, reported) -> reported, [Spans.8, Spans.9, Spans.10, Spans.11, Spans.12], Reported)) AS Sums,
        arrayMap((reported, place) -> if(reported, Sums[place], NULL), Reported, arrayCumSum(Reported)) AS Counted,
        arrayMap((duration, children) -> duration - least(duration, children), Spans.4, below(Spans.4)) AS Selves,
        -- An owner of discarded copies only did not take part.
        arrayMap(
            sums -> arraySort(arrayFilter(owner -> owner.2 > 0, arrayMap(
                owner -> (owner, sums.2[indexOf(sums.1, cityHash64(owner)) AS at], sums.3[at], sums.4[at]), Owners))),
            [arrayReduce('sumMap', [Spans.7], [arrayWithConstant(length(Spans), 1)], [Spans.5], [Selves])])[1] AS Took,
        arrayMap(raw -> arrayMap(spoken -> {preview(raw)}, [{messages(raw)}])[1], Messages) AS Previews,
        -- Later layers win: process, metadata of other tools, session and user, metadata set for the trace. If a span has one key under two tools'
        -- names, Last holds the key twice: the first counts.
        mapUpdate(
            mapUpdate(
                mapUpdate(Effective, mapFromArrays(
                    arrayMap(k -> substring(k, length({tool_metadata}) + 1), arrayDistinct(arrayFilter(k -> startsWith(k, {tool_metadata}), mapKeys(Last))) AS tools),
                    arrayMap(k -> Last[k], tools))),
                mapFilter((k, v) -> v != '', map(
                    'mlflow.trace.session', SessionOf,
                    'mlflow.trace.user', if(UserOf != '', UserOf, Last[concat({tool_metadata}, 'user_id')])))),
            mapApply((k, v) -> (substring(k, 22), v), mapFilter((k, v) -> startsWith(k, 'mlflow.traceMetadata.'), Last))) AS Metadata
    FROM family
)
SELECT
    {first}TraceId,
    bitAnd(Hash, 0xFFFFFFFFFF) AS TraceHash,
    now() AS Settled,
    RootRank AS Rank,
    CandidateRank = 2 AND has(Spans.1, Parent) AS Doubt,
    toUInt8(0) AS Partial,
    Start AS Timestamp,
    if(Rank = 3, 0, CandidateDuration) AS Duration,
    if(Rank = 3, '', CandidateName) AS Name,
    ServiceName,
    multiIf(
        Last['mlflow.traceState'] IN ('OK', 'ERROR', 'IN_PROGRESS', 'STATE_UNSPECIFIED'), Last['mlflow.traceState'],
        Rank = 3, 'IN_PROGRESS',
        StatusCode IN ('Error', 'STATUS_CODE_ERROR'), 'ERROR',
        'OK') AS State,
    length(Spans) AS SpanCount,
    arraySum(Spans.5) AS ErrorCount,
    Metadata['mlflow.trace.session'] AS SessionId,
    Metadata['mlflow.trace.user'] AS UserId,
    Metadata['mlflow.modelId'] AS ModelId,
    Metadata['mlflow.source.type'] AS SourceType,
    Metadata['app_version'] AS AppVersion,
    Metadata['mlflow.source.git.commit'] AS GitCommit,
    Metadata['mlflow.source.git.branch'] AS GitBranch,
    Metadata['mlflow.source.git.dirty'] AS GitDirty,
    Last['mlflow.traceClientRequestId'] AS ClientRequestId,
    substringUTF8(if(Last['mlflow.traceRequestPreview'] != '', Last['mlflow.traceRequestPreview'], if(Previews[1] != '', Previews[1], Messages[1].2)), 1, {preview_characters}) AS RequestPreview,
    substringUTF8(if(Last['mlflow.traceResponsePreview'] != '', Last['mlflow.traceResponsePreview'], if(Previews[2] != '', Previews[2], Messages[2].2)), 1, {preview_characters}) AS ResponsePreview,
    Counted[1] AS InputTokens,
    Counted[2] AS OutputTokens,
    Counted[3] AS CachedTokens,
    Counted[4] AS ReasoningTokens,
    Counted[5] AS Cost,
    if(Cost IS NULL, '', if(Computed, 'computed', 'sent')) AS CostSource,
    if(CostSource = 'computed', {price_version:String}, '') AS PriceVersion,
    arraySort(arrayDistinct(arrayMap(word -> trim(BOTH '"' FROM word), {words_of(model)}))) AS Models,
    arraySort(arrayDistinct(arrayFilter(type -> type != '', arrayMap(word -> {type(word)}, {words_of(type)})))) AS SpanTypes,
    {words_of(error_type)} AS ErrorTypes,
    EarliestError.message AS ErrorMessage,
    if(EarliestError.id = '', 0, cityHash64(EarliestError.type, replaceRegexpAll(EarliestError.message, '[0-9a-fA-F]*[0-9][0-9a-fA-F]*', '0'))) AS ErrorFingerprint,
    arraySort(arrayDistinct(arrayFlatten(arrayMap(word -> if(startsWith(word, '['), JSONExtract(word, 'Array(String)'), [word]), {words_of(finish_reasons)})))) AS FinishReasons,
    arraySort(arrayDistinct(arrayConcat({words_of(tool)}, {words_of(entity)}))) AS Tools,
    arraySort(arrayDistinct(arrayConcat(
        arrayMap(word -> substring(word, 2), arrayFilter(word -> startsWith(word, 'P'), Words)),
        arrayFlatten(arrayMap(word -> arrayMap(prompt -> concat(prompt.1, '/', prompt.2), JSONExtract(word, 'Array(Tuple(name String, version String))')), {words_of(linked_prompts)}))))) AS Prompts,
    {template(Name)} AS NameTemplate,
    Took.1.1 AS `Services.Name`,
    Took.1.2 AS `Services.Version`,
    Took.1.3 AS `Services.Commit`,
    Took.1.4 AS `Services.Branch`,
    Took.1.5 AS `Services.Environment`,
    Took.2 AS `Services.Spans`,
    Took.3 AS `Services.Errors`,
    Took.4 AS `Services.SelfTime`,
    Metadata,
    mapUpdate(
        mapFromArrays(arrayDistinct(arrayFlatten(arrayMap(list -> JSONExtract(Last[list], 'Array(String)'), [{tag_lists}])) AS listed), arrayMap(tag -> 'true', arrayDistinct(listed))),
        mapUpdate(
            mapApply((k, v) -> (substring(k, 17), v), mapFilter((k, v) -> startsWith(k, 'mlflow.traceTag.'), Last)),
            mapFilter((k, v) -> v != '', map('mlflow.traceName', Name)))) AS Tags,
    if(Rank = 3, '', SpanId) AS RootSpanId,
    toUnixTimestamp64Nano(Start) - arrayMin(AllSpans.3) AS Before,
    arrayMax(AllSpans.3) - toUnixTimestamp64Nano(Start) AS After
FROM counted
