"""The published language of Préau: the events each domain emits, their JSON Schemas and golden examples."""
