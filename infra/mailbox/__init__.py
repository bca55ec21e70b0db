"""The embedded mailbox: takes in every e-mail of a home and shows it, and sends none on."""
