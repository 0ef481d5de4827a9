"""Micro-batches straight off a stream's queue, acknowledged by hand."""

from collections.abc import AsyncIterator
from typing import Any

from faust.streams import Stream

from holdfast.streams.faustkit.exit import die


class BatchStream(Stream):
    """A stream with `batches()`: no background drainer task, and an abandoned batch is never acknowledged."""

    async def batches(self, max_size: int) -> AsyncIterator[list[Any]]:
        """Yield lists of at most `max_size` events of the current generation; the caller acknowledges each event."""
        await self.maybe_start()
        channel, app = self.channel, self.app
        queue, flow = channel.queue, app.flow_control
        unacked, acking = app.consumer._unacked_messages, app.topics.acking_topics
        try:
            while not self.should_stop:
                events = [await queue.get()]
                while len(events) < max_size and not queue.empty():
                    events.append(queue.get_nowait())
                if not flow.is_active():
                    continue  # a rebalance or a stop has begun: these are fetched again
                generation, batch = app.consumer_generation_id, []
                for event in events:
                    message = event.message
                    if message.generation_id != generation:
                        continue
                    if not message.tracked and message.topic in acking:
                        message.tracked = True
                        unacked.add(message)
                    batch.append(event)
                if batch:
                    if app.consumer.sought_generation != generation:
                        # Faust goes on when its seek fails or takes too long: whatever it skipped would be lost.
                        die("the committed offsets were not sought before the first batch")
                    yield batch
                    for event in batch:
                        # Not acknowledged means that ownership was lost: wait_empty() must not wait for it.
                        if not event.message.acked:
                            unacked.discard(event.message)
        except StopAsyncIteration:
            return
        finally:
            self._channel_stop_iteration(channel)
