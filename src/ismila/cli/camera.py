"""`ismila camera`: who comes to the door."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ismila.cli.chosen_run import chosen_runs
from ismila.cli.options import FILMS, RUN_OF_EACH
from ismila.cli.terminal import say
from ismila.photos.names import at_home, one_line

if TYPE_CHECKING:
    from pathlib import Path

    from ismila.cli.options import Verbs
    from ismila.use.ask.camera import Sighting


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "camera",
        parents=[RUN_OF_EACH, FILMS],
        help="say who comes and who goes before a camera, until Ctrl-C",
    )
    parser.add_argument(
        "source", metavar="SOURCE", help="rtsp://..., http://..., /dev/video0, or a film"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--mqtt",
        metavar="URL",
        help="send it to a broker: mqtt://[USER@]HOST[:PORT][/TOPIC]; MQTT_PASSWORD is its password",
    )
    parser.add_argument("--webhook", metavar="URL", help="send it to a web address by POST")
    parser.add_argument(
        "--keep", type=at_home, metavar="DIR", help="keep the frame on which each was known"
    )
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Watch a camera and say, send and keep who comes and who goes."""
    from ismila.use.ask.camera import frames_of_camera, sightings
    from ismila.use.ask.films import Film, FrameVote
    from ismila.use.ask.pets import Pets
    from ismila.use.ask.receivers import Mqtt, Receivers, Webhook

    pets = Pets.load(chosen_runs(args))
    film = Film(args.source, args.fps, pets.decoded_px)
    frames = frames_of_camera(film, say) if film.is_live else film.frames()
    with Receivers() as receivers:
        if args.webhook:
            receivers.add(Webhook(args.webhook))
        if args.mqtt:
            receivers.add(Mqtt(args.mqtt))
        try:
            for sighting in sightings(frames, pets, FrameVote(*args.agree)):
                print(sighting.message if args.json else _as_line(sighting), flush=True)
                for problem in receivers.send(sighting):
                    say(f"not sent: {problem}")
                if args.keep and sighting.is_there:
                    _keep(sighting, args.keep)
        except KeyboardInterrupt:
            say("stopped")
            return 0
    if film.broken:
        say(f"error: {args.source}: {film.broken}")
    return 1 if film.broken else 0


def _as_line(sighting: Sighting) -> str:
    words = "is there" if sighting.is_there else "has gone"
    sure = f"{sighting.probability:6.1%}"
    return one_line(f"{sighting.at:%Y-%m-%d %H:%M:%S}  {sure}  {sighting.subject} {words}")


def _keep(sighting: Sighting, folder: Path) -> None:
    try:
        sighting.keep(folder)
    except OSError as error:
        say(f"not kept: --keep {folder}: {error.strerror}")
