"""Every bound of an executor, in one place."""

# A report stays well below the broker's 1 MiB per record: one that is refused for its size would be poison.
TOOL_RESULT_LIMIT_BYTES = 256 * 1024
MODEL_RESPONSE_LIMIT_BYTES = 512 * 1024
KEPT_BODY_LIMIT = 1_500

REMEMBERED_LIMIT = 10_000
OPEN_OFFSETS_LIMIT = 50_000
"""From the first record that is not finished to the last that was read, partitions together."""
WAITING_LIMIT = 10_000
WAITING_LIMIT_BYTES = 32 * 1024 * 1024
"""What an executor reads ahead. A tenant with more tasks than that in the way stands before others again."""

TICK_S = 0.05
POLL_MS = 2_000
FETCH_WAIT_MS = 2_000
"""How long a poll and a fetch wait for something to come. It ends both; what is left is the cost of idleness."""
FETCH_LIMIT = 1_000
REPORT_EVERY_S = 2.0
REPORT_AT_LEAST_EVERY_S = 10.0
"""How often an executor reports its queues while something waits or runs there, and while nothing does."""
REPORTS_SINCE_S = 60.0
"""How far back an executor that starts reads what others have reported."""
KEEP_ALIVE_S = 1.0
COMMIT_EVERY_S = 0.3
CLAIMS_ON_REVOKE_S = 2.0
CLOSE_S = 5.0
LAST_RESORT_S = 10.0
"""How long after its grace time a stopping executor may take to close, whatever its calls do."""
STUCK_LIMIT_S = 30.0
"""How long every slot may be held by threads that outlived their calls before the process ends."""

SEARCH_OPEN_S = 30.0
"""How long the offset of a search that is not due yet may hold back those behind it."""

HEARTBEATS_PER_LEASE = 4
FENCE_MARGIN = 1 / 8
"""The part of a lease that is left when an executor that cannot extend it stops its call."""

RETRY_AFTER_LIMIT_MS = 86_400_000
