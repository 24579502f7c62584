"""Clients that cost less than what they measure, and the content that they push."""

import hashlib
import json
import os
import socket
import threading
import time
from pathlib import Path

MIB = 1024 * 1024
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"


class Connection:
    """A connection that stays open from one request to the next."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = port
        self.buffer = bytearray(4 * MIB)
        self.ahead = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def head(self, method, target, headers=()):
        lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"{name}: {value}" for name, value in headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def send_head(self, method, target, headers=()):
        self.socket.sendall(self.head(method, target, headers))

    def receive_head(self):
        """Status and headers; what of the body came with them is kept."""
        while b"\r\n\r\n" not in self.ahead:
            received = self.socket.recv(65536)
            if not received:
                raise SystemExit("the server closed the connection")
            self.ahead += received
        head, _, self.ahead = self.ahead.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        pairs = (line.split(":", 1) for line in lines[1:])
        return int(lines[0].split()[1]), {name.lower(): value.strip() for name, value in pairs}

    def discard(self, length):
        """Lets the kernel throw away `length` bytes: a client that costs next to nothing."""
        rest = length - len(self.ahead)
        self.ahead = b""
        while rest > 0:
            received = self.socket.recv_into(
                self.buffer, min(rest, len(self.buffer)), socket.MSG_TRUNC
            )
            if received == 0:
                raise SystemExit("the body ended early")
            rest -= received

    def request(self, method, target, headers=(), body=b"", expected=(200,)):
        """A small request; its answer's headers and body."""
        # In one piece, as clients with a buffer send it.
        head = self.head(method, target, [*headers, ("Content-Length", len(body))])
        self.socket.sendall(head + body)
        return self.answer(method, target, expected)

    def answer(self, method, target, expected):
        status, headers = self.receive_head()
        content = b""
        length = int(headers.get("content-length", 0)) if status != 204 else 0
        while len(self.ahead) < length:
            self.ahead += self.socket.recv(65536)
        content, self.ahead = self.ahead[:length], self.ahead[length:]
        if status not in expected:
            raise SystemExit(f"{method} {target}: {status} {content[:300]!r}")
        return headers, content

    def pull(self, target):
        """Bytes of one blob, discarded."""
        self.send_head("GET", target)
        status, headers = self.receive_head()
        if status != 200:
            raise SystemExit(f"GET {target}: {status}")
        length = int(headers["content-length"])
        self.discard(length)
        return length

    def begin_upload(self, repository):
        headers, _ = self.request("POST", f"/v2/{repository}/blobs/uploads/", expected=(202,))
        return headers["location"].removeprefix(f"http://127.0.0.1:{self.port}")

    def push(self, repository, blob):
        """Pushes a `Blob` by POST and one PUT, as Docker's own pushes end."""
        location = self.begin_upload(repository)
        target = f"{location}{'&' if '?' in location else '?'}digest={blob.digest}"
        headers = [
            ("Content-Length", blob.size),
            ("Content-Type", "application/octet-stream"),
        ]
        self.send_head("PUT", target, headers)
        blob.send(self.socket)
        self.answer("PUT", target, (201,))

    def push_bytes(self, repository, content):
        """Pushes a small blob; its digest."""
        location = self.begin_upload(repository)
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        target = f"{location}{'&' if '?' in location else '?'}digest={digest}"
        self.request("PUT", target, body=content, expected=(201,))
        return digest

    def push_manifest(self, repository, reference, manifest):
        self.pushed(self.manifest_push(repository, reference, manifest))

    def manifest_push(self, repository, reference, manifest):
        """The bytes of a request that pushes `manifest`."""
        target = f"/v2/{repository}/manifests/{reference}"
        headers = [("Content-Type", OCI_MANIFEST), ("Content-Length", len(manifest))]
        return self.head("PUT", target, headers) + manifest

    def pushed(self, request):
        """Sends what `manifest_push` made."""
        self.socket.sendall(request)
        self.answer("PUT", "a manifest", (201,))


class Source:
    """Random bytes in memory from which any number of different blobs are made: they differ in
    their last bytes, so that each costs a server the same and this client next to nothing."""

    def __init__(self, size):
        self.size = size
        self.path = Path(f"/dev/shm/roadstead-bench-{os.getpid()}-{size}")
        self.hash = hashlib.sha256()
        block = os.urandom(MIB)
        with self.path.open("wb") as file:
            for index in range(size // MIB):
                part = index.to_bytes(8, "big") + block[8:]
                file.write(part)
                self.hash.update(part)
        self.file = self.path.open("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.path.unlink(missing_ok=True)

    def blob(self):
        return Blob(self)


class Blob:
    """A source's bytes and a tail that no other blob has."""

    def __init__(self, source):
        self.source = source
        self.tail = os.urandom(32)
        whole = source.hash.copy()
        whole.update(self.tail)
        self.digest = "sha256:" + whole.hexdigest()
        self.size = source.size + len(self.tail)

    def send(self, connection):
        sent = 0
        while sent < self.source.size:
            descriptor = self.source.file.fileno()
            sent += os.sendfile(connection.fileno(), descriptor, sent, self.source.size - sent)
        connection.sendall(self.tail)


def image_manifest(config, layer, note):
    """A small manifest; each `note` makes another one."""

    def descriptor(media_type, content):
        digest, size = content
        return {"mediaType": media_type, "digest": digest, "size": size}

    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, config),
        "layers": [descriptor(OCI_LAYER, layer)],
        "annotations": {"note": note},
    }
    return json.dumps(manifest, indent=2).encode()


def push_image(port, repository, tag="latest", layer_size=1000):
    """Pushes a small image; its layer's digest, and config and layer as pairs of digest and size."""
    with Connection(port) as connection:
        contents = (b"{}", os.urandom(layer_size))
        pushed = [(connection.push_bytes(repository, each), len(each)) for each in contents]
        connection.push_manifest(repository, tag, image_manifest(*pushed, "the image"))
    return pushed


class SendfileLoop:
    """A server that does nothing but send one file by sendfile(2) after a fixed head: the limit."""

    name = "sendfile loop"

    def __init__(self, path):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pid = os.fork()
        if self.pid == 0:
            self.serve(path)
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, 15)
        os.waitpid(self.pid, 0)

    def serve(self, path):
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()
            while True:
                connection, _ = self.listener.accept()
                while connection.recv(65536):
                    connection.sendall(head, socket.MSG_MORE)
                    sent = 0
                    while sent < size:
                        sent += os.sendfile(connection.fileno(), file.fileno(), sent, size - sent)

    def cpu(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def in_parallel(count, work):
    """Runs `work(index)` in `count` threads and waits for all."""
    failures = []

    def run(index):
        try:
            work(index)
        except BaseException as failure:  # also SystemExit: a thread would swallow it
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def seconds(work):
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
