#!/usr/bin/env python3
"""Pushes one layer above 5 GiB through a registry over an emulated S3, and reads it back.

    large.py ROADSTEAD [MIB]     the layer has 5200 MiB when MIB is not given

Above 5 GiB S3 neither takes nor copies an object by one request. The layer comes in two PATCHes. It
prints how many parts the upload and the copy to its place had and of which sizes, how long it took and
the most memory the registry used. What comes back is compared, by ranges and by the digest of all of it.

MiniStack, from PyPI as for the tests, holds the layer up to three times in memory: without 3.2 times its
size available this does not begin. The store is asked by curl.
"""

import hashlib
import http.client
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MIB = 1024 * 1024
TEMPLATE = hashlib.shake_128(b"layer").digest(MIB - 8)

CONFIG = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  s3:
    bucket: registry
    region: us-east-1
    regionendpoint: http://127.0.0.1:{store}
    forcepathstyle: true
    accesskey: test
    secretkey: test
  redirect: {{disable: true}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http: {{addr: "127.0.0.1:{port}", secret: benchmark}}
"""


def main(roadstead, mib=5200):
    mib = int(mib)
    if available() < mib * MIB * 3.2:
        sys.exit(f"{available() // MIB} MiB of memory are available, and {mib * 32 // 10} are needed")
    with tempfile.TemporaryDirectory(prefix="roadstead-large-") as folder:
        with Emulator() as store, Registry(roadstead, folder, store.port) as registry:
            run(registry, store, mib)


def run(registry, store, mib):
    begun, half = time.monotonic(), mib // 2
    location = registry.ask("POST", "/v2/large/blobs/uploads/", 202).getheader("location")
    digest = hashlib.sha256()
    for blocks in (range(half), range(half, mib)):
        location = registry.patch(location, blocks, digest)
    said("taken in", begun, describe(store.parts_under_way()))
    begun, digest = time.monotonic(), f"sha256:{digest.hexdigest()}"
    joint = "&" if "?" in location else "?"
    registry.ask("PUT", f"{location}{joint}digest={digest}", 201)
    said("committed", begun, describe(store.parts_of_blob(digest)))
    begun, blob = time.monotonic(), f"/v2/large/blobs/{digest}"
    edges = [0, 10 * MIB, 32 * MIB, half * MIB, 5 * 1024 * MIB, mib * MIB]
    for edge in (edge for edge in edges if edge <= mib * MIB):
        first, last = max(edge - 100_000, 0), min(edge + 100_000, mib * MIB)
        assert registry.range(blob, first, last) == content(first, last), f"damaged around {edge}"
    again, step = hashlib.sha256(), 64 * MIB
    for first in range(0, mib * MIB, step):
        again.update(registry.range(blob, first, min(first + step, mib * MIB)))
    assert f"sha256:{again.hexdigest()}" == digest, "damaged"
    said("read back", begun, f"{mib} MiB, the same")
    assert store.parts_under_way() == [], "the upload has left parts"
    print(f"the registry's peak of memory: {registry.peak() // 1024} MiB")


def said(what, begun, how):
    print(f"{what} in {time.monotonic() - begun:.0f} s: {how}", flush=True)


def describe(parts):
    sizes = sorted(set(parts), reverse=True)
    kinds = [f"{parts.count(size)} of {size / MIB:g} MiB" for size in sizes]
    return f"{len(parts)} parts, " + ", ".join(kinds)


def sizes(parts):
    return [int(size) for size in re.findall(r"<Size>(\d+)</Size>", parts)]


def block(number):
    """A MiB that no other is like."""
    return number.to_bytes(8, "big") + TEMPLATE


def content(first, last):
    blocks = b"".join(map(block, range(first // MIB, -(-last // MIB))))
    return blocks[first % MIB:][:last - first]


def available():
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    return int(found[1]) * 1024


class Emulator:
    """MiniStack, which ends with its standard input."""

    def __enter__(self):
        launcher = [sys.executable, ROOT / "tests/emulators/ministack.py"]
        self.process = subprocess.Popen(
            launcher, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        answer = self.process.stdout.readline().split()
        if answer[:1] != ["READY"]:
            sys.exit(" ".join(answer) or "MiniStack does not start")
        self.port = answer[1]
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(60)

    def ask(self, target, *options):
        signed = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "test:test", *options]
        url = f"http://127.0.0.1:{self.port}/registry{target}"
        done = subprocess.run(["curl", "-sS", *signed, url], capture_output=True, text=True, check=True)
        return done.stdout

    def parts_under_way(self):
        uploads = self.ask("?uploads=")
        found = re.search(r"<Upload>.*?<Key>(.*?)</Key>.*?<UploadId>(.*?)</UploadId>", uploads, re.S)
        if not found:
            return []
        return sizes(self.ask(f"/{found[1]}?max-parts=1000&uploadId={found[2]}"))

    def parts_of_blob(self, digest):
        name = digest.removeprefix("sha256:")
        target = f"/docker/registry/v2/blobs/sha256/{name[:2]}/{name}/data?attributes="
        attributes = ["-H", "x-amz-object-attributes: ObjectParts", "-H", "x-amz-max-parts: 1000"]
        return sizes(self.ask(target, *attributes))



class Registry:
    """A server over the emulated store."""

    def __init__(self, roadstead, folder, store):
        self.port = free_port()
        config = Path(folder, "large.yml")
        config.write_text(CONFIG.format(store=store, port=self.port))
        self.command = [roadstead, "serve", str(config)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)
        for _ in range(600):
            try:
                self.ask("GET", "/v2/", 200)
                return self
            except OSError:
                time.sleep(0.1)
        sys.exit("the registry does not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)

    def ask(self, method, target, status, body=None, headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1800)
        target = re.sub(r"^https?://[^/]*", "", target)
        connection.request(method, target, body, dict(headers))
        answer = connection.getresponse()
        if answer.status != status:
            sys.exit(f"{method} {target}: {answer.status} {answer.read(1000)}")
        return answer

    def patch(self, location, blocks, digest):
        def body():
            for number in blocks:
                digest.update(block(number))
                yield block(number)
        headers = {"Content-Length": str(len(blocks) * MIB), "Content-Type": "application/octet-stream"}
        return self.ask("PATCH", location, 202, body(), headers).getheader("location")

    def range(self, target, first, last):
        return self.ask("GET", target, 206, None, {"Range": f"bytes={first}-{last - 1}"}).read()

    def peak(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
