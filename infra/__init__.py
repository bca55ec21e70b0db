"""What Préau runs on: topics, and the embedded or remote servers beneath the services."""
