-- What exactly was one record that came to nothing?
-- parameter topic: String
-- parameter partition: UInt32
-- parameter offset: UInt64
SELECT topic, kafka_partition, kafka_offset, stage, code, message, record_at, state, headers,
       lower(hex(record_key)) AS key_hex, lower(hex(record_value)) AS value_hex
FROM holdfast.dead_letters FINAL
WHERE topic = {topic:String} AND kafka_partition = {partition:UInt32} AND kafka_offset = {offset:UInt64}
ORDER BY stage
