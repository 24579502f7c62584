"""The rows of the table: what is measured, how, and what it has to come to."""

import base64
import json
import os
import shutil
import statistics
import subprocess
import urllib.request
from pathlib import Path

import clients
from clients import MIB, Connection, SendfileLoop, Source
from servers import H2C

GIB = 1024 * MIB


class Figure:
    """One line of the table: values of ours and theirs, and what is asked of them.

    `at_least` and `at_most` bound the ratio of ours to theirs; `limit` bounds ours alone.
    """

    def __init__(self, name, unit, at_least=None, at_most=None, limit=None):
        self.name = name
        self.unit = unit
        self.at_least = at_least
        self.at_most = at_most
        self.limit = limit
        self.ours = []
        self.theirs = []

    def add(self, is_ours, value):
        (self.ours if is_ours else self.theirs).append(value)

    def medians(self):
        return [statistics.median(each) if each else None for each in (self.ours, self.theirs)]

    def ratio(self):
        ours, theirs = self.medians()
        return ours / theirs if ours is not None and theirs else None

    def target(self):
        if self.limit is not None:
            return f"<= {self.limit:g} {self.unit}"
        if self.at_least is not None:
            return f">= {self.at_least:g}x"
        return f"<= {self.at_most:g}x" if self.at_most is not None else ""

    def verdict(self):
        ours, ratio = self.medians()[0], self.ratio()
        if not self.target() or (self.limit is None and ratio is None):
            return ""
        met = (
            ours <= self.limit
            if self.limit is not None
            else ratio >= self.at_least
            if self.at_least is not None
            else ratio <= self.at_most
        )
        return "met" if met else "MISSED"


class Bench:
    """What every row works with."""

    def __init__(self, ours, theirs, stores, repetitions):
        self.kinds = (ours, theirs)
        self.stores = stores
        self.repetitions = repetitions

    def pair(self, row, more=("", "")):
        """Both servers, each over a fresh store."""
        ours, theirs = self.kinds
        return (
            ours.start(self.stores.fresh(f"{row}-ours"), more[0]),
            theirs.start(self.stores.fresh(f"{row}-theirs"), more[1]),
        )

    def interleaved(self, servers, measure, repetitions=None):
        """Measures the servers in turn: whatever disturbs one disturbs the others as well."""
        for repetition in range(repetitions or self.repetitions):
            order = servers if repetition % 2 == 0 else tuple(reversed(servers))
            for server in order:
                measure(server)


def blob_path(root, digest):
    hexadecimal = digest.removeprefix("sha256:")
    folder = Path(root, "docker/registry/v2/blobs/sha256", hexadecimal[:2], hexadecimal)
    return folder / "data"


def forget(server, blob):
    """Removes a pushed blob's bytes: a row must not fill the disk."""
    shutil.rmtree(blob_path(server.root, blob.digest).parent)


def pull(bench):
    """A blob of 1 GiB from the page cache over HTTP/1.1, beside a bare sendfile loop."""
    throughput = Figure("pull 1 GiB", "MiB/s", at_least=3.5)
    cpu = Figure("pull 1 GiB, CPU", "s/GiB", at_most=0.3)
    limit = Figure("pull 1 GiB / sendfile loop", "MiB/s", at_least=0.9)
    ours, theirs = bench.pair("pull")
    with ours, theirs, Source(GIB) as source:
        blob = source.blob()
        for server in (ours, theirs):
            with Connection(server.port) as connection:
                connection.push("bench/pull", blob)
        os.sync()
        target = f"/v2/bench/pull/blobs/{blob.digest}"
        with SendfileLoop(blob_path(ours.root, blob.digest)) as loop:

            def measure(server):
                pulls = 3
                with Connection(server.port) as connection:
                    connection.pull(target)
                    before = server.cpu()
                    took = clients.seconds(lambda: [connection.pull(target) for _ in range(pulls)])
                    used = server.cpu() - before
                speed = pulls * blob.size / MIB / took
                if server is not theirs:
                    limit.add(server is ours, speed)
                if server is not loop:
                    throughput.add(server is ours, speed)
                    cpu.add(server is ours, used / pulls)

            bench.interleaved((ours, theirs, loop), measure)
    return throughput, cpu, limit


def pull_h2c(bench):
    """The same over HTTP/2 without TLS, which Distribution 2 does not speak."""
    throughput = Figure("pull 1 GiB, h2c", "MiB/s")
    cpu = Figure("pull 1 GiB, h2c, CPU", "s/GiB")
    ours = bench.kinds[0].start(bench.stores.fresh("h2c"), H2C)
    with ours, Source(GIB) as source:
        blob = source.blob()
        with Connection(ours.port) as connection:
            connection.push("bench/pull", blob)
        url = f"http://127.0.0.1:{ours.port}/v2/bench/pull/blobs/{blob.digest}"
        command = ["curl", "-fsS", "--http2-prior-knowledge", "-o", "/dev/null", url]

        def measure(server):
            before = server.cpu()
            took = clients.seconds(lambda: subprocess.run(command, check=True))
            throughput.add(True, blob.size / MIB / took)
            cpu.add(True, server.cpu() - before)

        bench.interleaved((ours,), measure)
    return throughput, cpu


def pull_tls(bench):
    """The same over TLS, with HTTP/2 and without; Distribution serves by Go's http.ServeContent, as
    Go's file server does."""
    kinds = [(kind, bench.stores.fresh(f"tls-{kind.name}")) for kind in bench.kinds]
    with Source(GIB) as source:
        blob = source.blob()
        for kind, root in kinds:
            with kind.start(root) as server, Connection(server.port) as connection:
                connection.push("bench/pull", blob)
    ours, theirs = (kind.start_tls(root) for kind, root in kinds)
    figures = []
    with ours, theirs:
        for option, name in (("--http2", "HTTP/2"), ("--http1.1", "HTTP/1.1")):
            throughput = Figure(f"pull 1 GiB, TLS, {name}", "MiB/s")
            cpu = Figure(f"pull 1 GiB, TLS, {name}, CPU", "s/GiB", at_most=1)

            def measure(server):
                url = f"https://127.0.0.1:{server.port}/v2/bench/pull/blobs/{blob.digest}"
                command = ["curl", "-fsS", option, "--cacert", server.certificate]
                before = server.cpu()
                took = clients.seconds(
                    lambda: subprocess.run([*command, "-o", "/dev/null", url], check=True)
                )
                throughput.add(server is ours, blob.size / MIB / took)
                cpu.add(server is ours, server.cpu() - before)

            bench.interleaved((ours, theirs), measure)
            figures += [throughput, cpu]
    return figures


def push(bench):
    """A blob of 1 GiB, durable."""
    throughput = Figure("push 1 GiB", "MiB/s", at_least=1.25)
    cpu = Figure("push 1 GiB, CPU", "s/GiB", at_most=1)
    ours, theirs = bench.pair("push")
    with ours, theirs, Source(GIB) as source:

        def measure(server):
            blob = source.blob()
            os.sync()
            before = server.cpu()
            with Connection(server.port) as connection:
                took = clients.seconds(lambda: connection.push("bench/push", blob))
            throughput.add(server is ours, blob.size / MIB / took)
            cpu.add(server is ours, server.cpu() - before)
            forget(server, blob)

        bench.interleaved((ours, theirs), measure)
    return throughput, cpu


def push_16(bench):
    """16 different blobs of 100 MiB at once, each on its own connection."""
    throughput = Figure("push 16 x 100 MiB", "MiB/s", at_least=1.5)
    cores = Figure("push 16 x 100 MiB, cores used", "cores")
    cpu = Figure("push 16 x 100 MiB, CPU", "s/GiB", at_most=1)
    memory = Figure("push 16 x 100 MiB, peak RSS", "MiB", at_most=1)
    count = 16
    ours, theirs = bench.pair("push-16")
    with ours, theirs, Source(100 * MIB) as source:

        def measure(server):
            blobs = [source.blob() for _ in range(count)]
            os.sync()

            def transfer(index):
                with Connection(server.port) as connection:
                    connection.push("bench/push", blobs[index])

            before = server.cpu()
            took = clients.seconds(lambda: clients.in_parallel(count, transfer))
            used = server.cpu() - before
            size = sum(blob.size for blob in blobs)
            throughput.add(server is ours, size / MIB / took)
            cores.add(server is ours, used / took)
            cpu.add(server is ours, used * GIB / size)
            memory.add(server is ours, server.memory("VmHWM"))
            for blob in blobs:
                forget(server, blob)

        bench.interleaved((ours, theirs), measure, min(3, bench.repetitions))
    return throughput, cores, cpu, memory


def requests_per_second(port, target, authorization=None):
    """64 connections that ask for the same for some seconds, by wrk."""
    command = ["wrk", "-t", "1", "-c", "64", "-d", "4s", "--timeout", "20s"]
    command += ["-H", f"Accept: {clients.OCI_MANIFEST}"]
    if authorization:
        command += ["-H", f"Authorization: {authorization}"]
    command += [f"http://127.0.0.1:{port}{target}"]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in report or "Socket errors" in report:
        raise SystemExit(f"wrk met errors at {target}:\n{report}")
    rate = next(line for line in report.splitlines() if line.startswith("Requests/sec:"))
    return float(rate.split()[1])


def many(bench, name, at_least, target, prepare):
    """64 connections against `target(prepare(server))`."""
    rate = Figure(name, "req/s", at_least=at_least)
    cpu = Figure(f"{name}, CPU", "us/req")
    ours, theirs = bench.pair("many")
    with ours, theirs:
        targets = {server: target(prepare(server)) for server in (ours, theirs)}
        for server in (ours, theirs):
            requests_per_second(server.port, targets[server])

        def measure(server):
            before = server.cpu()
            figure = requests_per_second(server.port, targets[server])
            rate.add(server is ours, figure)
            cpu.add(server is ours, (server.cpu() - before) / 4 / figure * 1e6)

        bench.interleaved((ours, theirs), measure)
    return rate, cpu


def manifest_get(bench):
    """A manifest by its tag, 64 connections."""
    return many(
        bench,
        "GET manifest by tag, 64 connections",
        20,
        lambda _: "/v2/bench/small/manifests/latest",
        lambda server: clients.push_image(server.port, "bench/small"),
    )


# The password is "ann's secret"; what is measured is that it is not checked by bcrypt each time.
HTPASSWD = "ann:$2b$04$Ya6eX2CxXMXrkhkJUHhWUu/5kLTX6klkp6P2pLwZFXHj5OiUt16CG\n"
BASIC = "Basic " + base64.b64encode(b"ann:ann's secret").decode()
AUTH = """\
auth:
  htpasswd:
    realm: bench
    path: {path}
tokenserver:
  enabled: true
"""


def token(port, scope):
    """A token of the server itself."""
    url = f"http://127.0.0.1:{port}/auth/token?scope={scope}"
    request = urllib.request.Request(url, headers={"Authorization": BASIC})
    with urllib.request.urlopen(request) as answer:
        return "Bearer " + json.load(answer)["token"]


def manifest_get_authenticated(bench):
    """A manifest by its tag, 64 connections that log in; `theirs` is this registry without `auth`."""
    by_password = Figure("GET manifest, password / anonymous", "req/s", at_least=0.7)
    by_token = Figure("GET manifest, token / anonymous", "req/s", at_least=0.8)
    target = "/v2/bench/small/manifests/latest"
    kind = bench.kinds[0]
    root, copy = bench.stores.fresh("anonymous"), bench.stores.fresh("authenticated")
    passwords = Path(f"{copy}.htpasswd")
    passwords.write_text(HTPASSWD)
    with kind.start(root) as anonymous:
        clients.push_image(anonymous.port, "bench/small")
        shutil.copytree(root, copy, dirs_exist_ok=True)
        with kind.start(copy, AUTH.format(path=passwords)) as guarded:
            bearer = token(guarded.port, "repository:bench/small:pull")
            for _ in range(bench.repetitions):
                open_rate = requests_per_second(anonymous.port, target)
                for figure, authorization in ((by_password, BASIC), (by_token, bearer)):
                    figure.add(False, open_rate)
                    figure.add(True, requests_per_second(guarded.port, target, authorization))
    return by_password, by_token


def blob_get(bench):
    """A blob of 1,000 bytes, 64 connections."""
    return many(
        bench,
        "GET blob of 1 kB, 64 connections",
        20,
        lambda pushed: f"/v2/bench/small/blobs/{pushed[1][0]}",
        lambda server: clients.push_image(server.port, "bench/small"),
    )


def tags_list(bench):
    """The first 100 of 3,000 tags, 64 connections."""
    return many(
        bench,
        "GET tags/list?n=100 of 3,000",
        12,
        lambda _: "/v2/bench/small/tags/list?n=100",
        lambda server: push_tags(server, 3000),
    )


def push_tags(server, count):
    """One pushed image and `count - 1` further tags as files, which is faster than pushing them."""
    clients.push_image(server.port, "bench/small", "tag-00000")
    tags = Path(server.root, "docker/registry/v2/repositories/bench/small/_manifests/tags")
    for index in range(1, count):
        shutil.copytree(tags / "tag-00000", tags / f"tag-{index:05}")


def manifest_push(bench):
    """Small manifests one after the other on one connection, each with a tag of its own."""
    rate = Figure("push of small manifests, 1 connection", "push/s", at_least=3)
    cpu = Figure("push of small manifests, CPU", "ms/push")
    count = 1000
    ours, theirs = bench.pair("manifest-push")
    with ours, theirs:
        images = {server: clients.push_image(server.port, "bench/small") for server in (ours, theirs)}
        numbers = iter(range(1_000_000))

        def measure(server):
            numbered = [next(numbers) for _ in range(count)]
            with Connection(server.port) as connection:

                def push(number):
                    manifest = clients.image_manifest(*images[server], str(number))
                    return connection.manifest_push("bench/small", f"t{number}", manifest)

                requests = [push(number) for number in numbered]

                def push_all():
                    for request in requests:
                        connection.pushed(request)

                os.sync()
                before = server.cpu()
                took = clients.seconds(push_all)
            rate.add(server is ours, count / took)
            cpu.add(server is ours, (server.cpu() - before) / count * 1000)

        bench.interleaved((ours, theirs), measure)
    return rate, cpu


def start(bench):
    """From the start of the process to the first answer, over a small and a large store."""
    ready = Figure("start to ready", "ms", limit=50)
    ready_large = Figure("start to ready, 20,000 repositories", "ms", limit=50)
    idle = Figure("idle RSS", "MiB", limit=16)
    roots = {kind: bench.stores.fresh(f"start-{kind.name}") for kind in bench.kinds}

    def measure(figure):
        def once(kind):
            with kind.start(roots[kind]) as server:
                figure.add(kind is bench.kinds[0], server.seconds_to_ready * 1000)
                idle.add(kind is bench.kinds[0], server.memory("VmRSS"))

        bench.interleaved(bench.kinds, once)

    measure(ready)
    for root in roots.values():
        for index in range(20_000):
            name = f"docker/registry/v2/repositories/many/{index:05}/_layers/sha256"
            Path(root, name).mkdir(parents=True)
    measure(ready_large)
    return ready, ready_large, idle


# Rows that leave many deleted files behind come last: ext4 without a journal gives their numbers to
# nobody for a while, and looking for others slows down whoever makes files after that.
ROWS = {
    "manifest-push": manifest_push,
    "pull": pull,
    "pull-h2c": pull_h2c,
    "pull-tls": pull_tls,
    "push": push,
    "push-16": push_16,
    "manifest-get": manifest_get,
    "manifest-get-authenticated": manifest_get_authenticated,
    "blob-get": blob_get,
    "tags-list": tags_list,
    "start": start,
}
