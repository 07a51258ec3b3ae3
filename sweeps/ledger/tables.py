"""The tables as they are today; ``sweeps.migrations`` makes them so."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Double, ForeignKey, String, TypeDecorator, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from sweeps.events import Kind
from sweeps.state import State


class Text(TypeDecorator[str]):
    """Text that every database takes: PostgreSQL knows no NUL, and none encodes half a character."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: object) -> str | None:  # noqa: ARG002
        """Escape what is not taken; what is stored under a name is printable, so nothing is mistaken."""
        if value is None:
            return None
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", r"\x00")


class Base(DeclarativeBase):
    """The tables as they are today; ``sweeps.migrations`` makes them so."""

    type_annotation_map = {  # noqa: RUF012  # the name and form that SQLAlchemy wants
        str: Text,
        dict[str, Any]: JSON,
        dict[str, float]: JSON,
        list[dict[str, Any]]: JSON,
    }


class SweepRow(Base):
    """A sweep."""

    __tablename__ = "sweeps"

    #: Order of submission; a clock may jump, this does not.
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(Text(12), unique=True)
    name: Mapped[str]
    spec: Mapped[dict[str, Any]]
    state: Mapped[State] = mapped_column(String(12), index=True)
    progress: Mapped[dict[str, Any]]
    created: Mapped[datetime]
    started: Mapped[datetime | None]
    finished: Mapped[datetime | None]
    error: Mapped[str | None]
    priority: Mapped[int] = mapped_column(server_default="0")
    machines: Mapped[dict[str, float]] = mapped_column(server_default="{}")
    stalled: Mapped[bool] = mapped_column(server_default=false())
    failures: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    owner: Mapped[str] = mapped_column(server_default="")
    #: Estimated at submission.
    cpu_seconds: Mapped[float] = mapped_column(Double, server_default="0")
    #: What it is found by: see rows.searchable.
    search: Mapped[str] = mapped_column(server_default="")
    #: How many events were told of it.
    told: Mapped[int] = mapped_column(server_default="0")
    labels: Mapped[list[LabelRow]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, lazy="selectin"
    )


class LabelRow(Base):
    """One of its labels."""

    __tablename__ = "labels"

    sweep: Mapped[int] = mapped_column(ForeignKey("sweeps.number", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(Text(60), primary_key=True)
    value: Mapped[str] = mapped_column(Text(200), index=True)


class EventRow(Base):
    """Something that was told of it, in JSON."""

    __tablename__ = "events"

    sweep: Mapped[int] = mapped_column(ForeignKey("sweeps.number", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[Kind] = mapped_column(String(8))
    data: Mapped[str]
