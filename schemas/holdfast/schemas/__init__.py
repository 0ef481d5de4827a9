"""What may be said: event types, topics, codec, catalogue."""
