"""Load: many clients beside a running sweep, many submissions at once, a status at rest. See docs/load.md."""
