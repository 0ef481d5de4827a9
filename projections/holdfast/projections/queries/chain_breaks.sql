-- Where is a hash chain broken?
-- parameter tenant: String = ''
-- parameter since: DateTime64(3) = 1970-01-01 00:00:00
SELECT tenant, workflow_id, sequence, type, toString(event_id) AS event_id, kafka_partition, kafka_offset, recorded_at,
       multiIf(erased, 'payload_erased', fork, 'fork', bad_hash, 'hash_mismatch', gap, 'gap',
               missing_head, 'missing_head', 'broken_link') AS finding
FROM holdfast.v_chain(tenant = {tenant:String}, since = {since:DateTime64(3)})
WHERE erased OR fork OR bad_hash OR gap OR missing_head OR bad_link
ORDER BY tenant, workflow_id, sequence
LIMIT 1000
