"""The only place that knows Faust's insides: a fast fetch loop, micro-batches, durable sends, a guarded table.

Idiomatic Faust loses data in four ways without a crash (an exception acknowledges its own message, `take` eats more
than its batch, failed sends are log lines, commits pass unacknowledged offsets). Nothing here uses `take`, `noack`,
`concurrency`, `exactly_once` or auto-created topics. Private names of Faust that the kit touches stand in
`private_names.py`; a test fails when an upgrade moves one.
"""
