"""This machine and this Python: imports, rendering, threads, memory, ports, files."""
