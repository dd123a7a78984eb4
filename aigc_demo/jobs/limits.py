"""What one server grants its visitors, in one place: each field is set by AIGC_ and its name in capitals."""

from __future__ import annotations

import os

from pydantic import Field

from ..config import ConfigError, Fields, Run, check


class Limits(Fields):
    """The limits of one server; the command line at the machine has none of them."""

    slots: int = Field(1, ge=1, le=64, description="runs that train at a time on one device")
    waiting: int = Field(8, ge=0, le=1000, description="runs that may wait for their turn")
    each: int = Field(3, ge=0, le=1000, description="of these, runs of one visitor")
    minutes: float = Field(120, gt=0, le=1e6, description="minutes of training at a turn")
    steps: int = Field(1_000_000, ge=1, le=10**9, description="steps of a run")
    disk: float = Field(4, gt=0, le=1e6, description="GB that the runs of one visitor may take on the disk")
    memory: float = Field(4, gt=0, le=1e6, description="GB of memory that a run may need")
    lease: float = Field(30, gt=0, le=1e6, description="minutes that a run trains on with nobody watching")

    @classmethod
    def told(cls) -> Limits:
        """The limits that the environment sets. Raises ConfigError with a line for each variable that cannot be used."""
        names = {name: f"AIGC_{name.upper()}" for name in cls.model_fields}
        given = {name: os.environ[key] for name, key in names.items() if os.environ.get(key)}
        try:
            return check(cls, given)
        except ConfigError as error:
            lines = (line.partition(":") for line in str(error).splitlines())
            raise ConfigError("\n".join(f"{names[name]}:{says}" for name, _, says in lines)) from None

    def environment(self) -> dict[str, str]:
        """The variables that tell a child these limits."""
        return {f"AIGC_{name.upper()}": f"{value!r}" for name, value in self.model_dump().items()}

    def allow(self, run: Run) -> None:
        """Raises ConfigError where the run's budget is beyond what a run is granted."""
        budget, unit = run.train.budget, run.train.unit
        most = {"steps": self.steps, "minutes": self.minutes}.get(unit)
        if most is not None and budget > most:
            raise ConfigError(f"train.budget: {budget:g} {unit} are more than the {most:g} that this server grants")
