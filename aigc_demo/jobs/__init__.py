"""Training runs as child processes that write files: start, watch, pause, go on, re-attach. A run is a folder, its name is its address.

Nothing but files holds them together: two servers on one folder, and the command line, see the same runs and wait in the same line."""

from .child import AGAIN, STOPPED, Orders, own, resume_check, spawn, yield_to_others
from .folder import (
    CONFIG,
    ENDED,
    OUTPUT,
    OWNER,
    STATUS,
    STOP,
    JobError,
    Place,
    Seen,
    attend,
    create,
    find,
    listed,
    live,
    mark,
    read,
    report,
    watch,
)
from .limits import Limits
from .owner import HERE, delete, extend, go_on, keep, owns, pause, rename, start, stop
from .turns import turn

__all__ = [
    "AGAIN",
    "CONFIG",
    "ENDED",
    "HERE",
    "OUTPUT",
    "OWNER",
    "STATUS",
    "STOP",
    "STOPPED",
    "JobError",
    "Limits",
    "Orders",
    "Place",
    "Seen",
    "attend",
    "create",
    "delete",
    "extend",
    "find",
    "go_on",
    "keep",
    "listed",
    "live",
    "mark",
    "own",
    "owns",
    "pause",
    "read",
    "rename",
    "report",
    "resume_check",
    "spawn",
    "start",
    "stop",
    "turn",
    "watch",
    "yield_to_others",
]
