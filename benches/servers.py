"""The servers under measurement: started on a free port of the loopback, watched, ended by their pid."""

import http.client
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")

CONFIG = """\
version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {root}
  cache:
    blobdescriptor: inmemory
  maintenance:
    uploadpurging:
      enabled: false
http:
  addr: 127.0.0.1:{port}
  secret: benchmark
{more}"""

H2C = """\
  h2c:
    enabled: true
"""


TLS = """\
  tls:
    certificate: {root}.crt
    key: {root}.key
"""


class Kind:
    """A program that serves a configuration of Distribution: `name`, and what starts it."""

    def __init__(self, name, command):
        self.name = name
        self.command = command

    def start(self, root, more=""):
        return Server(self, root, more)

    def start_tls(self, root):
        """With a certificate of its own making; `openssl` does that."""
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        files = ["-keyout", f"{root}.key", "-out", f"{root}.crt"]
        command = ["openssl", "req", "-x509", *curve, *subject, *files]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        return Server(self, root, TLS.format(root=root))


class Server:
    """A running server over the store at `root`. As a context manager it ends with the block."""

    def __init__(self, kind, root, more=""):
        self.name = kind.name
        self.root = Path(root)
        self.port = free_port()
        self.certificate = f"{root}.crt" if "certificate" in more else None
        self.config = Path(f"{root}.{kind.name}.yml")
        self.config.write_text(CONFIG.format(root=root, port=self.port, more=more))
        begun = time.perf_counter()
        self.process = subprocess.Popen(
            [*kind.command, str(self.config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", ""), "OTEL_TRACES_EXPORTER": "none"},
        )
        self.wait_until_ready()
        self.seconds_to_ready = time.perf_counter() - begun

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.config.unlink(missing_ok=True)

    def wait_until_ready(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended by itself: {self.process.returncode}")
            if self.is_ready():
                return
            time.sleep(0.001)
        raise SystemExit(f"{self.name} does not answer")

    def is_ready(self):
        if self.certificate is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        else:
            context = ssl.create_default_context(cafile=self.certificate)
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=5, context=context
            )
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status in (200, 401)
        except OSError:
            return False
        finally:
            connection.close()

    def cpu(self):
        """CPU seconds so far, of user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self, field):
        """A figure of /proc/<pid>/status in MiB: VmRSS now, VmHWM at its highest."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
        raise SystemExit(f"no {field} in /proc/<pid>/status")


class Stores:
    """A place on a disk for the stores of both servers; gone at the end."""

    def __init__(self, parent):
        self.path = Path(tempfile.mkdtemp(prefix="roadstead-bench-", dir=parent))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)

    def fresh(self, name):
        """An empty directory for the store `name`."""
        root = self.path / name
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        return root


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
