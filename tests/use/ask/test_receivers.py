"""Messages to a real MQTT broker, where Debian's mosquitto is installed."""

import shutil
import socket
import subprocess
import threading
import time
from contextlib import suppress

import pytest
from conftest import call
from films import draw_film
from loopback import free_port

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


@pytest.fixture
def broker(tmp_path):
    """The port of a broker that lets user `mila` in with the password `paw`."""
    port = free_port()
    passwords = tmp_path / "passwords"
    passwords.write_text("mila:paw\n")
    subprocess.run(["mosquitto_passwd", "-U", passwords], check=True)
    conf = tmp_path / "mosquitto.conf"
    conf.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\nuser root\n"
    )
    process = subprocess.Popen([MOSQUITTO, "-c", conf], stderr=subprocess.DEVNULL)
    for _ in range(200):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        time.sleep(0.02)
    yield port
    process.terminate()
    process.wait(10)


def kept(port):
    """Topic -> what the broker keeps under it."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    got = {}
    enough = threading.Event()
    client = Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set("mila", "paw")

    def on_message(_client, _data, message):
        got[message.topic] = message.payload.decode()
        if len(got) == 2:
            enough.set()

    client.on_message = on_message
    client.on_connect = lambda *_: client.subscribe("#", qos=1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    enough.wait(10)
    client.disconnect()
    client.loop_stop()
    return got


@pytest.mark.slow
def test_a_broker_keeps_the_newest_of_each_subject(trained, broker, tmp_path, monkeypatch):
    monkeypatch.setenv("MQTT_PASSWORD", "paw")
    film = draw_film(tmp_path / "a.mp4", "..mm")
    url = f"mqtt://mila@127.0.0.1:{broker}/home/door"
    said = call(trained, "ismila.cli", "camera", "--run", "latest", film, "--mqtt", url)
    assert (said.returncode, said.stderr) == (0, "")
    got = kept(broker)
    assert got["home/door/status"] == "offline"
    assert '"subject": "mila", "is_there": true' in got["home/door/mila"]


def test_a_broker_that_refuses_is_an_error(trained, broker):
    url = f"mqtt://mila:wrong@127.0.0.1:{broker}"
    said = call(trained, "ismila.cli", "camera", "--run", "latest", "a.mp4", "--mqtt", url)
    assert said.returncode == 1
    assert "refuses: Not authorized" in said.stderr
    assert "wrong" not in said.stderr
