"""The ledger: which sweeps there are, what they ask for and in which state they are. The only user of SQL."""

from __future__ import annotations

from sweeps.ledger.ledger import MAX_FAILURES, MAX_REASON, Ledger
from sweeps.ledger.tables import Base

__all__ = ["MAX_FAILURES", "MAX_REASON", "Base", "Ledger"]
