"""What dev.py is made of. Python's standard library alone: it runs before anything is installed."""
