-- p0: "chat"
-- p1: "ERROR"
-- p2: "c"
-- p3: 100
-- p4: 5.5
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM (
SELECT * EXCEPT (Key, StateAlone, SentTags, First, Last)
FROM trace_rows
WHERE ((Name != '') AND Name = {p0:String})
  AND State = {p1:String}
  AND ((ClientRequestId != '') AND ClientRequestId = {p2:String})
  AND ((if(RootSpanId = '', NULL, toInt64(intDiv(Duration, 1000000))) IS NOT NULL) AND if(RootSpanId = '', NULL, toInt64(intDiv(Duration, 1000000))) > {p3:Int64})
  AND ((if(RootSpanId = '', NULL, toUnixTimestamp64Milli(Timestamp) + toInt64(intDiv(Duration, 1000000))) IS NOT NULL) AND if(RootSpanId = '', NULL, toUnixTimestamp64Milli(Timestamp) + toInt64(intDiv(Duration, 1000000))) >= {p4:Float64})
  AND Key NOT IN (SELECT Key FROM trace_repeats)
UNION ALL
SELECT * EXCEPT (Key)
FROM traces_merged
WHERE Key IN (SELECT Key FROM trace_repeats)
  AND TraceId IN (SELECT TraceId FROM trace_carriers WHERE (Name = {p0:String}) AND (StateAlone = 'ERROR' OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE State = 'ERROR')) AND (ClientRequestId = {p2:String} OR TraceId IN (SELECT TraceId FROM trace_carriers WHERE ClientRequestId = {p2:String})) AND (intDiv(Duration, 1000000) > {p3:Int64}))
  AND ((Name != '') AND Name = {p0:String})
  AND State = {p1:String}
  AND ((ClientRequestId != '') AND ClientRequestId = {p2:String})
  AND ((if(RootSpanId = '', NULL, toInt64(intDiv(Duration, 1000000))) IS NOT NULL) AND if(RootSpanId = '', NULL, toInt64(intDiv(Duration, 1000000))) > {p3:Int64})
  AND ((if(RootSpanId = '', NULL, toUnixTimestamp64Milli(Timestamp) + toInt64(intDiv(Duration, 1000000))) IS NOT NULL) AND if(RootSpanId = '', NULL, toUnixTimestamp64Milli(Timestamp) + toInt64(intDiv(Duration, 1000000))) >= {p4:Float64})
)
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
