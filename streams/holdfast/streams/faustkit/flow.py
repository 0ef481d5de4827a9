"""Holding the flow of messages back until Faust has sought the committed offsets."""

from typing import Any


def hold_flow(app: Any) -> None:
    """Let no message through until Faust resumes the flow; call it when a table has recovered.

    Faust reads changelogs with the flow on and leaves it on: it resumes the stream partitions, seeks, and then
    "resumes" the flow, which clears every queue. What was fetched after the seek and before that would be lost.
    """
    app.consumer.stop_flow()
    app.flow_control.suspend()
