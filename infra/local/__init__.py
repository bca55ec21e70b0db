"""A whole Préau on one machine: real PostgreSQL, real Kafka, every service, nothing to install."""
