"""What happened, as tables: rows, sink, migrations, views, queries, bridge."""
