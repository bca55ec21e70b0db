"""What the notify service does: queue what is to be told, send it while it may be, answer what was sent."""
