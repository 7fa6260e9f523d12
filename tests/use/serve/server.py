"""Starts `ismila serve` as a person does."""

import socket
import subprocess
import sys
import time

import requests


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(folder, *args, env=None):
    port = free_port()
    command = [sys.executable, "-m", "ismila.cli", "serve", "--port", str(port), *map(str, args)]
    process = subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    line = process.stdout.readline()
    assert "http://127.0.0.1" in line, line + process.stdout.read()
    address = f"http://127.0.0.1:{port}"
    for _ in range(200):
        try:
            requests.get(f"{address}/health", timeout=5)
            break
        except requests.ConnectionError:
            time.sleep(0.05)
    return process, address
