-- Which records came to nothing, the latest first?
-- parameter state: String = open
-- parameter limit: UInt32 = 100
SELECT topic, kafka_partition, kafka_offset, stage, code, message, record_at, length(record_value) AS bytes, state
FROM holdfast.dead_letters FINAL
WHERE {state:String} = '' OR state = {state:String}
ORDER BY ingested_at DESC, topic, kafka_partition, kafka_offset
LIMIT {limit:UInt32}
