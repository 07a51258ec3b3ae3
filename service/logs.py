"""The log: every line, whoever writes it, in one form, with the ids of the request and sweep it is about."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import JSONRenderer, TimeStamper, format_exc_info
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name
from structlog.typing import EventDict, Processor, WrappedLogger

Format = Literal["text", "json"]
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

#: Libraries that tell each of their own steps.
_TALKATIVE = ("alembic", "asyncio", "httpx", "httpcore", "websockets", "matplotlib")
#: Fields that the text of a line has already.
_TOLD = ("sweep", "method", "path", "status")


def configure(form: Format, level: Level) -> None:
    """Sends the log to standard error: text for people, or one JSON object per line.

    A line has ``event``, ``level``, ``logger``, ``timestamp`` (UTC) and, where there is one, ``request_id``,
    ``sweep`` and what else it is about; an error its traceback, without the values of variables.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                add_log_level,
                add_logger_name,
                ExtraAdder(),
                TimeStamper(fmt="iso", utc=True),
            ],
            processors=[ProcessorFormatter.remove_processors_meta, _drop_colours, *_rendering(form)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def _rendering(form: Format) -> list[Processor]:
    if form == "json":
        return [format_exc_info, JSONRenderer()]
    return [
        _drop_what_is_told,
        ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain_traceback),
    ]


def _drop_colours(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # uvicorn's text once more
    return event


def _drop_what_is_told(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    return {name: value for name, value in event.items() if name not in _TOLD}
