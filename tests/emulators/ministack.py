#!/usr/bin/env python3
"""Starts MiniStack (PyPI, MIT), an emulator of S3, DynamoDB and other services, for a test.

It is installed into tests/.cache/ministack if it is not there, listens on the loopback alone, and
keeps everything in memory. It has the bucket `registry` from the start. One line says how it went:
`READY <port>` or `SKIP <reason>`. It ends, by its own process id, when the standard input of this
program does: whatever happens to the test.
"""

import fcntl
import os
import socket
import subprocess
import sys
import time
import urllib.request
import venv
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache"
HOME = CACHE / "ministack"
PROGRAM = HOME / "bin" / "ministack"
VERSION = "1.5.33"
PATIENCE = 60
BUCKET = "registry"


def main():
    try:
        install()
        process, port = start()
    except Exception as error:
        return print(f"SKIP MiniStack cannot be had: {error}", flush=True)
    try:
        make_bucket(port)
        print(f"READY {port}", flush=True)
        sys.stdin.read()
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def install():
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "ministack.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if PROGRAM.exists():
            return
        venv.create(HOME, with_pip=True, clear=True)
        pip = [HOME / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
        pip += ["--retries", "2", "--timeout", "15"]
        done = subprocess.run([*pip, f"ministack=={VERSION}"], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])


def start(command=(PROGRAM,)):
    # Another process may take the free port before MiniStack does; then it ends at once.
    for _ in range(5):
        port = free_port()
        environment = os.environ | {
            "GATEWAY_PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0",
            "AUTH": "true",
        }
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_ministack/health", timeout=5).close()
                return process, port
            except OSError:
                time.sleep(0.1)
        process.kill()
    raise RuntimeError("it does not start")


def make_bucket(port):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{BUCKET}", method="PUT")
    urllib.request.urlopen(request, timeout=PATIENCE).close()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


if __name__ == "__main__":
    main()
