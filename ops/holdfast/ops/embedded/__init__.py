"""The embedded platform: a real Apache Kafka broker from a lock of jars, on the Java runtime that a wheel carries."""
