"""Faust's monitor without its per-event hooks, which cost about 5 us each; batches are what we measure."""

from typing import Any

import faust


class QuietMonitor(faust.Monitor):
    """Counts messages and events, and nothing else."""

    def on_message_in(self, *_details: Any) -> None:
        """Count."""
        self.messages_received_total += 1

    def on_stream_event_in(self, *_details: Any) -> None:
        """Do nothing."""

    def on_stream_event_out(self, *_details: Any) -> None:
        """Count."""
        self.events_total += 1

    def on_message_out(self, *_details: Any) -> None:
        """Do nothing."""

    def on_table_get(self, *_details: Any) -> None:
        """Do nothing."""

    def on_table_set(self, *_details: Any) -> None:
        """Do nothing."""

    def on_send_initiated(self, *_details: Any, **_more: Any) -> None:
        """Do nothing."""

    def on_send_completed(self, *_details: Any, **_more: Any) -> None:
        """Do nothing."""

    def track_tp_end_offset(self, *_details: Any) -> None:
        """Do nothing."""
