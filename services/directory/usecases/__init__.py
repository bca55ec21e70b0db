"""What the directory does, one function per intention; each takes the transaction and never commits."""
