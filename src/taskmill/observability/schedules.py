"""Metrics of schedules: counted by the process that fired, after its commit."""

from typing import Final

from taskmill.observability.catalogue import Section

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0, 3600.0)

_schedules = Section(
    "Schedules",
    reported_by="maintenance, which fires; api, where an operator has a schedule fire, go on or replaced",
)
FIRES: Final = _schedules.tally(
    "schedule_ticks_total",
    "Ticks, by what became of them: `created`, `held`, `skipped_overlap`, `skipped_missed`, `skipped_paused`, "
    "`skipped_gap` or `refused`; a held one counts once more when its task is made",
    "outcome",
)
LATENESS: Final = _schedules.histogram(
    "schedule_lateness_seconds",
    "From when a tick was due until its task was made, without those that were held",
    bounds=_BOUNDS,
)
