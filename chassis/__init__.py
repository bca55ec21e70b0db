"""What every service stands on: settings, database, outbox, consumer, HTTP, timers, telemetry. No domain word in it."""
