SELECT
    Arrival,
    min(Received) AS First,
    count() AS Parts,
    groupUniqArrayArray(arrayMap(word -> trim(BOTH '"' FROM substring(word, 2)), arrayFilter(word -> startsWith(word, {letter(model)}), Words))) AS Models
FROM spanhouse_trace_parts
WHERE Received >= now64(3) - toIntervalSecond({seconds:UInt32}) AND Arrival NOT IN (SELECT settled.Arrival FROM spanhouse_arrivals AS settled)
GROUP BY Arrival
ORDER BY First
LIMIT {most:UInt32}
