-- Partitions of parts that are old enough to drop and whose arrivals are all settled.
SELECT _partition_id
FROM spanhouse_trace_parts
GROUP BY _partition_id
HAVING max(Received) < now64(3) - toIntervalSecond({seconds:UInt32})
    AND countIf(Arrival NOT IN (SELECT settled.Arrival FROM spanhouse_arrivals AS settled)) = 0
    -- On a cluster partitions can't be dropped through the table; a TTL removes parts there.
    AND (SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'spanhouse_trace_parts' AND engine = 'Distributed') = 0
