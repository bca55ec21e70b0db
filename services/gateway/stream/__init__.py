"""The live stream: one ring of recent items in each process, and a position for each open connection."""
