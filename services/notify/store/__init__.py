"""Every SQL statement of the notify service: the queue of messages, what is known of people."""
