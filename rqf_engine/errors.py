"""Errors of the engine.

EngineError
└── InvalidParameter  a parameter lies outside what the engine simulates or the theory covers
"""

from __future__ import annotations


class EngineError(Exception):
    """Root of everything the engine raises on purpose."""


class InvalidParameter(EngineError, ValueError):
    """A parameter has a value that is not taken.

    Attributes: ``field`` the parameter's name, ``got`` the value, ``takes`` what would be accepted.
    """

    def __init__(self, field: str, got: object, takes: str) -> None:
        super().__init__(f"{field}: got {got!r}, takes {takes}")
        self.field = field
        self.got = got
        self.takes = takes

    def __reduce__(self) -> tuple[type[InvalidParameter], tuple[str, object, str]]:
        return type(self), (self.field, self.got, self.takes)
