-- p0: "app_version"
-- p1: "^[vV]?([0-9]{1,18}(?:\\.[0-9]{1,18}){0,15})(-[0-9A-Za-z.-]{1,40}|\\.?(?:alpha|beta|preview|pre|post|dev|rc|a|b|c)[0-9]{0,18}(?:\\.(?:dev|post)[0-9]{0,18})?|)(?:\\+.*)?$"
-- p2: "\\1 \\2"
-- p3: "(?:\\.0+)+ "
-- p4: " "
-- p5: " $"
-- p6: " 1"
-- p7: " [.-]?post"
-- p8: " 2post"
-- p9: " ([^12])"
-- p10: " 0\\1"
-- p11: "[.-]+"
-- p12: "."
-- p13: "([a-z])([0-9])"
-- p14: "\\1.\\2"
-- p15: "([0-9])([a-z])"
-- p16: "\\.$"
-- p17: ""
-- p18: "([0-9]+)"
-- p19: "0000000000000000000000000000000000000000\\1"
-- p20: "[0-9]*([0-9]{40})"
-- p21: "\\1"
-- p22: "0000000000000000000000000000000000000001.0000000000000000000000000000000000000009.0000000000000000000000000000000000000002 0000000000000000000000000000000000000001"
-- p23: "at"
-- p24: 1769817600000000
-- p25: "^(19|2[0-2])[0-9]{2}-[0-9]{2}-[0-9]{2}([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?$"
-- p26: "n"
-- p27: 5.0
-- p28: [1.0, 2.0]
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM traces
WHERE (mapContains(Metadata, {p0:String}) AND (match(toLowCardinality(Metadata[{p0:String}]), {p1:String}) AND replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(lower(toLowCardinality(Metadata[{p0:String}])), {p1:String}, {p2:String}), {p3:String}, {p4:String}), {p5:String}, {p6:String}), {p7:String}, {p8:String}), {p9:String}, {p10:String}), {p11:String}, {p12:String}), {p13:String}, {p14:String}), {p15:String}, {p14:String}), {p16:String}, {p17:String}), {p18:String}, {p19:String}), {p20:String}, {p21:String}) > {p22:String}))
  AND (mapContains(Tags, {p23:String}) AND (match(Tags[{p23:String}], {p25:String}) AND ifNull(toUnixTimestamp64Micro(parseDateTime64BestEffortOrNull(Tags[{p23:String}], 6, 'UTC')) < {p24:Int64}, 0)))
  AND (mapContains(Metadata, {p26:String}) AND ifNull(toFloat64OrNull(Metadata[{p26:String}]) >= {p27:Float64}, 0))
  AND (mapContains(Tags, {p26:String}) AND ifNull(toFloat64OrNull(Tags[{p26:String}]) IN {p28:Array(Float64)}, 0))
  AND TraceId IN (SELECT TraceId FROM trace_carriers WHERE ((match(toLowCardinality(AppVersion), {p1:String}) AND replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(lower(toLowCardinality(AppVersion)), {p1:String}, {p2:String}), {p3:String}, {p4:String}), {p5:String}, {p6:String}), {p7:String}, {p8:String}), {p9:String}, {p10:String}), {p11:String}, {p12:String}), {p13:String}, {p14:String}), {p15:String}, {p14:String}), {p16:String}, {p17:String}), {p18:String}, {p19:String}), {p20:String}, {p21:String}) > {p22:String}) OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE bitTest(Own, 1) AND (match(toLowCardinality(AppVersion), {p1:String}) AND replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(lower(toLowCardinality(AppVersion)), {p1:String}, {p2:String}), {p3:String}, {p4:String}), {p5:String}, {p6:String}), {p7:String}, {p8:String}), {p9:String}, {p10:String}), {p11:String}, {p12:String}), {p13:String}, {p14:String}), {p15:String}, {p14:String}), {p16:String}, {p17:String}), {p18:String}, {p19:String}), {p20:String}, {p21:String}) > {p22:String}))) AND ((mapContains(Tags, {p23:String}) AND (match(Tags[{p23:String}], {p25:String}) AND ifNull(toUnixTimestamp64Micro(parseDateTime64BestEffortOrNull(Tags[{p23:String}], 6, 'UTC')) < {p24:Int64}, 0))) OR TraceId IN (SELECT TraceId FROM trace_tags WHERE Key = {p23:String} AND (match(Value, {p25:String}) AND ifNull(toUnixTimestamp64Micro(parseDateTime64BestEffortOrNull(Value, 6, 'UTC')) < {p24:Int64}, 0))) OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE (mapContains(Tags, {p23:String}) AND (match(Tags[{p23:String}], {p25:String}) AND ifNull(toUnixTimestamp64Micro(parseDateTime64BestEffortOrNull(Tags[{p23:String}], 6, 'UTC')) < {p24:Int64}, 0))))) AND ((mapContains(TraceMetadata, {p26:String}) AND ifNull(toFloat64OrNull(TraceMetadata[{p26:String}]) >= {p27:Float64}, 0)) OR (mapContains(ProcessMetadata, {p26:String}) AND ifNull(toFloat64OrNull(ProcessMetadata[{p26:String}]) >= {p27:Float64}, 0)) OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE (mapContains(TraceMetadata, {p26:String}) AND ifNull(toFloat64OrNull(TraceMetadata[{p26:String}]) >= {p27:Float64}, 0)))) AND ((mapContains(Tags, {p26:String}) AND ifNull(toFloat64OrNull(Tags[{p26:String}]) IN {p28:Array(Float64)}, 0)) OR TraceId IN (SELECT TraceId FROM trace_tags WHERE Key = {p26:String} AND ifNull(toFloat64OrNull(Value) IN {p28:Array(Float64)}, 0)) OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE (mapContains(Tags, {p26:String}) AND ifNull(toFloat64OrNull(Tags[{p26:String}]) IN {p28:Array(Float64)}, 0)))))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
