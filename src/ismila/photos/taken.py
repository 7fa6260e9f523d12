"""When a photo was taken, from whatever its file and its name say of it.

Cameras and programs write one moment in many forms and places. What matters here is which photos were taken
together, so that a zone never tears two of them apart: a time stays as the camera's clock showed it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import PurePosixPath
from typing import Any

from ismila.photos.xmp import NotXmpError, read_dates

DATE_TIME_ORIGINAL = (0x9003, 0x9011, 0x9291)
"""EXIF's tags of a time, its zone and its fraction of a second."""
DATE_TIME_DIGITIZED = (0x9004, 0x9012, 0x9292)
DATE_TIME = (0x0132, 0x9010, 0x9290)
"""When the file was changed last: after an export all of an album's say the same evening."""
GPS_TIME = 7
GPS_DATE = 29
IPTC_DATE = (2, 55)
IPTC_TIME = (2, 60)
PNG_TEXTS = ("exif:DateTimeOriginal", "Creation Time", "CreationTime")
"""Not `date:create` and the tIME chunk: they say when the file was written."""
FIRST_PHOTO = 1826
"""The year in which Niépce took it: an earlier one is no time of a photo."""
LAST_YEAR = 2999
"""Thai phones are 543 years ahead."""
UNSET_CLOCKS = (datetime(2002, 12, 8, 12),)
"""What many Android phones wrote for want of a time (github.com/openbenches/openbenches.org/issues/233)."""
LARGEST_ZONE = timedelta(hours=14)
LONGEST_SHOWN = 40

_DATE = re.compile(
    r"\s*(?P<year>\d{4})(?:"
    r"\D{1,3}(?P<month>\d{1,2})\D{1,3}(?P<day>\d{1,2})(?!\d)|(?P<mm>\d\d)(?P<dd>\d\d)(?=\D|\d{6}|$))"
)
_CLOCK = re.compile(
    r"[^\d+]*(?:(?P<hour>\d{1,2})\D{1,2}(?P<minute>\d{1,2})(?:\D{1,2}(?P<second>\d{1,2}))?(?!\d)"
    r"|(?P<hh>\d\d)(?P<mm>\d\d)(?P<ss>\d\d)(?!\d))"
    r"(?:[.,](?P<fraction>\d+))?"
)
_ZONE = re.compile(
    r"(?:UTC|GMT)?\s*(?P<sign>[+-])(?P<hours>\d{1,2}):?(?P<minutes>\d\d)?$|(?:Z|UTC|GMT)$"
)
_MORNING = re.compile(r"(?<![a-z])a\.?m(?![a-z])|上午|午前|오전", re.IGNORECASE)
_AFTERNOON = re.compile(r"(?<![a-z])p\.?m(?![a-z])|下午|午後|오후", re.IGNORECASE)
_TIME_IN_NAME = re.compile(
    r"(?<!\d)(?P<date>(?:19|20)\d\d(?P<dash>[-_.]?)[01]\d(?P=dash)[0-3]\d)"
    r"(?:[-_. T]|\s(?:at|um|à)\s)?"
    r"(?P<clock>[0-2]\d(?P<colon>[-_.:h]?)[0-5]\d(?P=colon)[0-5]\d)(?P<more>\d{0,3})(?!\d)"
)
_BURST = re.compile(r"(?P<before>.*?)[-_. ]burst[-_ ]?(?P<number>\d+)", re.IGNORECASE)
_A_MOMENT = 8
"""So many digits after BURST are the burst's time, and not the photo's turn in it."""


@dataclass(frozen=True)
class DateTags:
    """What may say when a photo was taken, as it stands in its file.

    Attributes:
        exif: of the main directory and the Exif one.
        iptc: by record and dataset.
        texts: of a PNG.
    """

    exif: Mapping[int, object] = field(default_factory=dict)
    gps: Mapping[int, object] = field(default_factory=dict)
    xmp: bytes = b""
    iptc: Mapping[tuple[int, int], object] = field(default_factory=dict)
    texts: Mapping[Any, object] = field(default_factory=dict)


@dataclass(frozen=True)
class CaptureTime:
    """When a photo was taken.

    Attributes:
        when: ISO 8601 as the camera's clock showed it, with the zone where that is known; empty when unknown.
        unread: what stands in the place of a time and cannot be read or is a default; empty when a time was read, or
            nothing is there.
    """

    when: str = ""
    unread: str = ""


def taken_of(tags: DateTags) -> CaptureTime:
    """The time that says most: an earlier tag before a later one, but a time of day before a mere date."""
    date_only = unread = ""
    for text in _stated(tags):
        if _is_blank(text):
            continue
        when = read_time(text)
        if when is None or when.replace(tzinfo=None) in UNSET_CLOCKS:
            unread = unread or text[:LONGEST_SHOWN]
        elif is_time_of_day(when):
            return CaptureTime(when.isoformat())
        else:
            date_only = date_only or when.isoformat()
    return CaptureTime(date_only, "" if date_only else unread)


def is_time_of_day(when: datetime) -> bool:
    """Midnight sharp is a date without a time, for all but one photo in 86,400."""
    return any((when.hour, when.minute, when.second, when.microsecond))


def _stated(tags: DateTags) -> Iterator[str]:
    """The times that a file states, the likeliest to be the photo's own first."""
    yield _exif_time(tags.exif, DATE_TIME_ORIGINAL)
    yield _exif_time(tags.exif, DATE_TIME_DIGITIZED)
    yield from _xmp_times(tags.xmp)
    yield f"{_plain(tags.iptc.get(IPTC_DATE))} {_plain(tags.iptc.get(IPTC_TIME))}".strip()
    for name in PNG_TEXTS:
        yield _plain(tags.texts.get(name))
    yield _exif_time(tags.exif, DATE_TIME)
    yield _gps_time(tags.gps)


def _exif_time(exif: Mapping[int, object], names: tuple[int, int, int]) -> str:
    """The time with its fraction and its zone, which stand in tags of their own."""
    text, zone, fraction = (_plain(exif.get(name)) for name in names)
    if re.search(r":\d\d$", text) and fraction.isdigit():
        text = f"{text}.{fraction}"
    return f"{text} {zone}" if text and _ZONE.fullmatch(zone) else text


def _xmp_times(packet: bytes) -> list[str]:
    if not packet:
        return []
    try:
        return [_plain(text) for text in read_dates(packet)]
    except NotXmpError:
        return []


def _gps_time(gps: Mapping[int, object]) -> str:
    """Satellites tell the time of Greenwich."""
    clock = gps.get(GPS_TIME)
    date = _plain(gps.get(GPS_DATE))
    if not date or not isinstance(clock, tuple | list):
        return date
    try:
        hour, minute, second = (int(float(part)) for part in clock)
    except (TypeError, ValueError, ArithmeticError):  # three parts of which one is no number
        return date
    return f"{date} {hour:02}:{minute:02}:{second:02}Z"


def _plain(value: object) -> str:
    """A tag's value as text of ASCII digits: some phones write the digits of their language."""
    if value is None:
        return ""
    if isinstance(value, list) and value:
        return _plain(value[0])
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    with suppress(UnicodeError):  # Pillow takes EXIF's bytes for Latin-1
        text = text.encode("latin-1").decode()
    text = unicodedata.normalize("NFKC", text.strip("\0 \t\r\n").split("\0")[0])
    return "".join(str(unicodedata.digit(each, each)) for each in text).strip()


def _is_blank(text: str) -> bool:
    """Whoever wrote it did not know: blanks, zeros, or the first day of .NET's calendar."""
    return not re.search(r"[1-9]", text) or text.startswith(("0000", "0001"))


def read_time(text: str) -> datetime | None:
    """The time that a text states, with its zone if it has one; None when it states none.

    Year, month and day come first in almost all of them, whatever stands between; of the others (`Fri, 08 Feb 2016
    10:28:33 +0100`, `08.02.2016 10:28`) dateutil knows more than we do.
    """
    date = _DATE.match(text)
    try:
        when = _worded(text) if date is None else _numeric(date, text[date.end() :])
    except (ValueError, OverflowError):
        return None
    return when if FIRST_PHOTO <= when.year <= LAST_YEAR else None


def _numeric(date: re.Match[str], rest: str) -> datetime:
    month, day = date["month"] or date["mm"], date["day"] or date["dd"]
    midnight = datetime(int(date["year"]), int(month), int(day))
    clock = _CLOCK.match(rest)
    if clock is None:
        return midnight
    hour = _hour(int(clock["hour"] or clock["hh"]), rest)
    minute = int(clock["minute"] or clock["mm"])
    second = int(clock["second"] or clock["ss"] or 0)
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError(rest)
    fraction = int((clock["fraction"] or "0")[:6].ljust(6, "0"))
    when = midnight + timedelta(hours=hour, minutes=minute, seconds=second, microseconds=fraction)
    return when.replace(tzinfo=_zone(rest[clock.end() :]))


def _hour(hour: int, rest: str) -> int:
    """Of 24: phones that count hours from 1 call the first half hour of a day 24:28 of that same day."""
    if hour <= 12 and _AFTERNOON.search(rest):
        return hour % 12 + 12
    if hour <= 12 and _MORNING.search(rest):
        return hour % 12
    return 0 if hour == 24 else hour


def _zone(after: str) -> timezone | None:
    """What follows the seconds; a zone that is none is no reason to lose the time."""
    zone = _ZONE.search(after.strip())
    if zone is None:
        return None
    ahead = timedelta(hours=int(zone["hours"] or 0), minutes=int(zone["minutes"] or 0))
    if ahead > LARGEST_ZONE:
        return None
    return timezone(-ahead if zone["sign"] == "-" else ahead)


def _worded(text: str) -> datetime:
    from dateutil import parser

    # POSIX turns the sign of GMT+1 around, dates do not
    plain = re.sub(r"(?:GMT|UTC)(?=[+-])", "", text)
    day_first = "." in plain.split(" ")[0]
    # what is missing is the year 1's, so that a text without a year is none
    when: datetime = parser.parse(
        plain, default=datetime(1, 1, 1), dayfirst=day_first, tzinfos=_offset_only
    )
    return when


def _offset_only(_: str | None, offset_s: int | None) -> timezone | None:
    """A zone's name alone does not say how far from Greenwich it is: MST is Malaysia's, too."""
    return None if offset_s is None else timezone(timedelta(seconds=offset_s))


def time_in_name(path: str) -> str:
    """The time that a camera or a program put into the file's name, as ISO 8601; empty where it holds none."""
    found = _TIME_IN_NAME.search(PurePosixPath(path).stem)
    if found is None:
        return ""
    digits = [re.sub(r"\D", "", found[part]) for part in ("date", "clock")]
    when = read_time(f"{digits[0]} {digits[1]}.{found['more'] or 0}")
    return when.isoformat() if when else ""


def burst_in_name(path: str) -> str:
    """What the names of one burst's photos have in common; empty where a name tells of none.

    `IMG_20180914_094602055_BURST000_COVER` (Motorola, Huawei, OnePlus, HTC), `00001IMG_00001_BURST20171111030039`
    (Google), `DSC_0052_BURST20230709220904977_COVER` (Sony); Samsung's `20231207_101605_001` and Pixel's
    `PXL_20231207_032111247.RAW-01.COVER` have nothing but a time in common.
    """
    stem = PurePosixPath(path).stem
    burst = _BURST.match(stem)
    if burst is None:
        found = _TIME_IN_NAME.search(stem)
        return found[0] if found else ""
    return burst["number"] if len(burst["number"]) >= _A_MOMENT else burst["before"].lower()
