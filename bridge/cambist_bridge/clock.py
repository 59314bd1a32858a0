"""The server's wall clock. MetaTrader gives every time as seconds of it; everybody else here speaks UTC.

Its zone is a rule that the config names: an offset in winter, and the law by which it is an hour more in summer. What a fresh tick
shows only verifies it.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from .problems import Unreadable

HOUR = 3600
_EPOCH = datetime(1970, 1, 1)


def _sunday(year: int, month: int, nth: int) -> datetime:
    """The `nth` Sunday of a month; the last for -1."""
    first = datetime(year, month, 1)
    sundays = [first + timedelta(days=(6 - first.weekday()) % 7 + 7 * week) for week in range(5)]
    return [day for day in sundays if day.month == month][nth if nth < 0 else nth - 1]


def _summer_eu(year: int) -> tuple[datetime, datetime]:
    """In UTC: from one o'clock on the last Sunday of March to one o'clock on the last of October (directive 2000/84/EC)."""
    return _sunday(year, 3, -1) + timedelta(hours=1), _sunday(year, 10, -1) + timedelta(hours=1)


def _summer_us(year: int) -> tuple[datetime, datetime]:
    """In UTC, as New York changes: at two o'clock of its own on the second Sunday of March (7:00) and on the first of November (6:00;
    Energy Policy Act of 2005, from 2007 on)."""
    return _sunday(year, 3, 2) + timedelta(hours=7), _sunday(year, 11, 1) + timedelta(hours=6)


LAWS = {"none": None, "eu": _summer_eu, "us": _summer_us}


@dataclass(frozen=True)
class ServerClock:
    """`offset_minutes` ahead of UTC in winter, and an hour more in the summer of `saving`: none, eu, us."""

    offset_minutes: int
    saving: str

    def offset(self, utc: float) -> int:
        """Seconds ahead of UTC at the moment `utc`, in seconds of 1970."""
        law = LAWS[self.saving]
        if law is None:
            return 60 * self.offset_minutes
        moment = _EPOCH + timedelta(seconds=utc)
        begin, end = law(moment.year)
        return 60 * self.offset_minutes + (HOUR if begin <= moment < end else 0)

    def shows(self, utc: float) -> float:
        """What the server's clock shows at `utc`."""
        return utc + self.offset(utc)

    def when(self, shown: float, near: float | None = None) -> float:
        """The moment at which the server's clock shows `shown`. It shows the hour before winter twice: of the two moments the
        first, or with `near` the one that is nearer to it. The hour that summer skips is taken as the one after."""
        moments = sorted({shown - self.offset(shown - 60 * self.offset_minutes - shift) for shift in (0, HOUR)})
        moments = [moment for moment in moments if self.shows(moment) == shown] or moments[-1:]
        return moments[0] if near is None else min(moments, key=lambda moment: abs(moment - near))


class SystemClock:
    """This machine's time."""

    def now(self) -> float:
        return time.time()


class SimulatedClock:
    """The time of a simulated terminal's tape, for a bridge that runs over one."""

    def __init__(self):
        import cambist_terminal

        self._simulation, self._line = cambist_terminal, None

    def now(self) -> float:
        try:
            self._line = self._line or self._simulation.Line()
            text = self._simulation.standing(self._line)["now"]
        except (OSError, ValueError) as error:
            self._line = None
            raise Unreadable("its time", 0, str(error)) from error
        return datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=timezone.utc).timestamp()
