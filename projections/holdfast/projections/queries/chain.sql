-- Is the hash chain of every workflow whole?
-- parameter tenant: String = ''
-- parameter since: DateTime64(3) = 1970-01-01 00:00:00
SELECT count() AS events, uniqExact(tenant, workflow_id) AS workflows, countIf(bad_hash) AS hash_mismatches,
       countIf(bad_link) AS broken_links, countIf(gap) AS gaps, countIf(missing_head) AS missing_heads,
       countIf(fork) AS forks, countIf(erased) AS erased_payloads
FROM holdfast.v_chain(tenant = {tenant:String}, since = {since:DateTime64(3)})
