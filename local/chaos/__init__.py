"""The real function under faults, kills and time-outs, and an audit of what became of every record."""
