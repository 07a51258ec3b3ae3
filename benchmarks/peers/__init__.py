"""What a user would pick instead, each in its best form, at the same accuracy of the same probability."""

from __future__ import annotations
