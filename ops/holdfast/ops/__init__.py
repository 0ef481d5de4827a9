"""Running it: CLI, settings, embedded broker and ClickHouse, supervisor, demo, bench, chaos."""
