"""Programs that measure a whole project: what a durable step costs, and how long things take."""
