-- What do models cost, by tenant, definition and model?
-- parameter tenant: String = ''
-- parameter since: DateTime64(3) = 1970-01-01 00:00:00
SELECT tenant, definition_name, if(model = '', requested_model, model) AS by_model, count() AS calls,
       countIf(status = 'failed') AS failed, sum(input_tokens) AS tokens_in, sum(output_tokens) AS tokens_out,
       sum(cached_tokens) AS tokens_cached, sum(cost_microusd) AS total_microusd
FROM holdfast.v_model_calls
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND requested_at >= {since:DateTime64(3)}
GROUP BY tenant, definition_name, by_model
ORDER BY total_microusd DESC, tenant, definition_name, by_model
