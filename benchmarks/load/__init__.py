"""Load: clients beside a sweep, many submissions, a status at rest, a large dataset. See docs/load.md."""
