SELECT Arrival, min(Received) AS First, count() AS Parts
FROM spanhouse_trace_parts
WHERE Received >= now64(3) - toIntervalSecond({seconds:UInt32}) AND Arrival NOT IN (SELECT settled.Arrival FROM spanhouse_arrivals AS settled)
GROUP BY Arrival
ORDER BY First
LIMIT {most:UInt32}
