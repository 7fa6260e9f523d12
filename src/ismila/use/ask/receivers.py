"""Where sightings are sent: a web address, an MQTT broker."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from ismila.photos import UserError
from ismila.photos.names import first_line

if TYPE_CHECKING:
    from paho.mqtt.client import Client

    from ismila.use.ask.camera import Sighting

SENT_S = 10
"""A receiver that has not taken a message within so long has not got it."""
PASSWORD = "MQTT_PASSWORD"
TOPIC = "ismila"
WAITING = 1000
"""So many messages wait for a broker that is away; a camera for a week sends no more."""


class NotSentError(Exception):
    """A message was not taken; says why in a few words."""


class Receiver(Protocol):
    """Takes sightings."""

    def send(self, sighting: Sighting, /) -> None:
        """Raises NotSentError."""

    def close(self) -> None:
        """Waits until what was sent has gone."""


@dataclass(frozen=True)
class Webhook:
    """An address that gets each sighting's message as JSON by POST.

    Attributes:
        url: `http://` or `https://`.
    """

    url: str

    def __post_init__(self) -> None:
        parts = _split(self.url, "--webhook")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(
                f"--webhook {_shown(parts)}: expected http://HOST... or https://HOST..."
            )

    def send(self, sighting: Sighting, /) -> None:
        import requests

        try:
            with requests.post(
                self.url,
                data=sighting.message,
                headers={"Content-Type": "application/json"},
                timeout=SENT_S,
                allow_redirects=False,
                stream=True,  # whatever it answers is not read
            ) as answer:
                if not answer.ok or answer.is_redirect:
                    raise NotSentError(f"--webhook: it answers {answer.status_code}")
        except requests.RequestException as error:
            raise NotSentError(f"--webhook: {type(error).__name__}") from error

    def close(self) -> None:
        """Nothing waits."""


class Mqtt:
    """A broker that keeps the newest message of each subject under `TOPIC/SUBJECT`.

    `TOPIC/status` is `online`, and `offline` once nobody watches. What is sent while the broker is
    away waits for it.

    Args:
        url: `mqtt://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC]`, or `mqtts://`. The password may stand in
            the environment as MQTT_PASSWORD.

    Raises:
        UserError: there is no such broker, or it refuses.
    """

    def __init__(self, url: str) -> None:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise UserError("--mqtt needs paho-mqtt: pip install 'ismila[film]'") from error
        parts = _split(url, "--mqtt")
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise UserError(
                f"--mqtt {_shown(parts)}: expected mqtt://HOST/TOPIC or mqtts://HOST/TOPIC"
            )
        self.broker = f"{parts.hostname}:{_port(parts)}"
        self.topic = unquote(parts.path.strip("/")) or TOPIC
        if set(self.topic) & set("+#\0"):
            raise UserError(f"--mqtt: {self.topic}: a topic without + and # is needed")
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.max_queued_messages_set(WAITING)
        _identify(self.client, parts)
        self.client.will_set(f"{self.topic}/status", "offline", qos=1, retain=True)
        self._connect(parts)
        self.sent = [self.client.publish(f"{self.topic}/status", "online", qos=1, retain=True)]

    def _connect(self, parts: SplitResult) -> None:
        refused: list[str] = []
        answered = threading.Event()

        def on_connect(_c: object, _u: object, _f: object, reason: object, _p: object) -> None:
            if getattr(reason, "is_failure", False):
                refused.append(str(reason))
            answered.set()

        self.client.on_connect = on_connect
        try:
            self.client.connect(str(parts.hostname), _port(parts))
        except OSError as error:
            raise UserError(f"--mqtt: no broker at {self.broker} ({first_line(error)})") from error
        self.client.loop_start()
        if not answered.wait(SENT_S) or refused:
            self.client.loop_stop()
            why = refused[0] if refused else "it does not answer"
            raise UserError(f"--mqtt: the broker at {self.broker} refuses: {why}")

    def send(self, sighting: Sighting, /) -> None:
        level = re.sub("[+#]", "_", sighting.subject)  # wildcards, which no topic may hold
        topic = f"{self.topic}/{level}"
        self.sent = [one for one in self.sent if not one.is_published()]
        self.sent.append(self.client.publish(topic, sighting.message, qos=1, retain=True))
        if not self.client.is_connected():
            raise NotSentError(f"--mqtt: {self.broker} is away; it gets this when it is back")

    def close(self) -> None:
        """Wait for what was sent, for some seconds."""
        self.sent.append(self.client.publish(f"{self.topic}/status", "offline", qos=1, retain=True))
        for one in self.sent:
            if self.client.is_connected():
                one.wait_for_publish(SENT_S)
        self.client.disconnect()
        self.client.loop_stop()


class Receivers:
    """All that are to get sightings; one that fails does not keep others from theirs."""

    def __init__(self) -> None:
        self.receivers: list[Receiver] = []

    def add(self, receiver: Receiver) -> None:
        """One more."""
        self.receivers.append(receiver)

    def __enter__(self) -> Receivers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for receiver in self.receivers:
            receiver.close()

    def send(self, sighting: Sighting) -> list[str]:
        """Why receivers did not get it, a line for each of those."""
        problems = []
        for receiver in self.receivers:
            try:
                receiver.send(sighting)
            except NotSentError as error:
                problems.append(str(error))
        return problems


def _identify(client: Client, parts: SplitResult) -> None:
    if parts.scheme == "mqtts":
        client.tls_set()
    password = unquote(parts.password or "") or os.environ.get(PASSWORD)
    if parts.username:
        client.username_pw_set(unquote(parts.username), password)


def _port(parts: SplitResult) -> int:
    return parts.port or (8883 if parts.scheme == "mqtts" else 1883)


def _split(url: str, option: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _port(parts)
    except ValueError as error:
        raise UserError(
            f"{option}: {first_line(error)}; give an address such as //host:1883"
        ) from error
    return parts


def _shown(parts: SplitResult) -> str:
    """Without user and password."""
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}" if parts.scheme else parts.path
