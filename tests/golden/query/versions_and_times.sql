-- p0: "^[vV]?([0-9]{1,18}(?:\\.[0-9]{1,18}){0,15})(-[0-9A-Za-z.-]{1,40}|\\.?(?:alpha|beta|preview|pre|post|dev|rc|a|b|c)[0-9]{0,18}(?:\\.(?:dev|post)[0-9]{0,18})?|)(?:\\+.*)?$"
-- p1: "\\1 \\2"
-- p2: "(?:\\.0+)+ "
-- p3: " "
-- p4: " $"
-- p5: " 1"
-- p6: " [.-]?post"
-- p7: " 2post"
-- p8: " ([^12])"
-- p9: " 0\\1"
-- p10: "[.-]+"
-- p11: "."
-- p12: "([a-z])([0-9])"
-- p13: "\\1.\\2"
-- p14: "([0-9])([a-z])"
-- p15: "\\.$"
-- p16: ""
-- p17: "([0-9]+)"
-- p18: "0000000000000000000000000000000000000000\\1"
-- p19: "[0-9]*([0-9]{40})"
-- p20: "\\1"
-- p21: "0000000000000000000000000000000000000001.0000000000000000000000000000000000000009.0000000000000000000000000000000000000002 0000000000000000000000000000000000000001"
-- p22: "at"
-- p23: 1769817600000000
-- p24: "^(19|2[0-2])[0-9]{2}-[0-9]{2}-[0-9]{2}([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?$"
-- p25: "n"
-- p26: 5.0
-- p27: [1.0, 2.0]
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, (RootSpanId = '' AND NOT Sorted = toDateTime64(0, 9, 'UTC')) AS Unfinished, emptyArrayString() AS Took, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM spanhouse_trace_rows FINAL
WHERE (match(toLowCardinality(AppVersion), {p0:String}) AND replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(lower(toLowCardinality(AppVersion)), {p0:String}, {p1:String}), {p2:String}, {p3:String}), {p4:String}, {p5:String}), {p6:String}, {p7:String}), {p8:String}, {p9:String}), {p10:String}, {p11:String}), {p12:String}, {p13:String}), {p14:String}, {p13:String}), {p15:String}, {p16:String}), {p17:String}, {p18:String}), {p19:String}, {p20:String}) > {p21:String})
  AND (mapContains(Tags, {p22:String}) AND (match(Tags[{p22:String}], {p24:String}) AND ifNull(toUnixTimestamp64Micro(parseDateTime64BestEffortOrNull(Tags[{p22:String}], 6, 'UTC')) < {p23:Int64}, 0)))
  AND (mapContains(Metadata, {p25:String}) AND ifNull(toFloat64OrNull(Metadata[{p25:String}]) >= {p26:Float64}, 0))
  AND (mapContains(Tags, {p25:String}) AND ifNull(toFloat64OrNull(Tags[{p25:String}]) IN {p27:Array(Float64)}, 0))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
