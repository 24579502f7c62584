"""Stands in for CloudFront in front of what deploy.py has deployed: for its tests.

It routes as the deployed distribution says, adds what the origin is configured with, and runs the deployed
CloudFront Function over answers; a function is called by the Invoke API, with the events that Function URLs
make and what they do to headers, and the upload server by HTTP, whose bodies pass through in pieces.
`signed` is the other distribution, that of the blobs.
"""

import base64
import http.client
import json
import subprocess
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler

# Lambda Developer Guide, "Lambda quotas": the payload of a synchronous invocation.
PAYLOAD = 6 * 1024 * 1024
PIECE = 256 * 1024
# What a Function URL renames; shared/lambda/src/answer.rs says how that is known.
REMAPPED = ("connection", "content-length", "date", "server", "www-authenticate")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        """The body, in pieces."""
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            left = int(self.headers.get("content-length", 0))
            while left and (piece := self.rfile.read(min(left, PIECE))):
                left -= len(piece)
                yield piece
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def answer(self, status, headers, content):
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding"):
                if name.lower() != "content-length" or self.command == "HEAD":
                    self.send_header(name, value)
        if self.command == "HEAD" or status in (204, 304):
            return self.end_headers()
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def relay(self, host, port, headers):
        connection = http.client.HTTPConnection(host, port, timeout=600)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        chunked = "chunked" in headers.get("transfer-encoding", "")
        try:
            for piece in self.body():
                connection.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                connection.send(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            # It has answered before the end, and what is left of the request is not read any more.
            self.close_connection = True
        done = connection.getresponse()
        self.answer(done.status, done.getheaders(), done.read())
        connection.close()


def in_front_of(deployment):
    class Edge(Handler):
        def handle_one(self):
            headers = {name.lower(): value for name, value in self.headers.items()}
            host, added, edge_function = deployment.route(self.path.partition("?")[0])
            headers = {**headers, **added, "host": host}
            headers.pop("connection", None)
            if deployment.uploads and host == deployment.uploads.host:
                return self.relay(*deployment.uploads.address, headers)
            headers.pop("transfer-encoding", None)
            event = function_event(self.command, self.path, headers, b"".join(self.body()))
            result = deployment.invoke(deployment.functions[host], event)
            content = result.get("body") or ""
            content = base64.b64decode(content) if result.get("isBase64Encoded") else content.encode()
            status, headers = result["statusCode"], result.get("headers", {})
            headers = {f"x-amzn-remapped-{name}" if name in REMAPPED else name: value for name, value in headers.items()}
            # CloudFront Developer Guide, "Restrictions on all edge functions".
            if edge_function and status < 400:
                status, headers = edge_function(status, headers)
            self.answer(status, [*headers.items(), ("content-length", str(len(content)))], content)

    return for_all_methods(Edge, "handle_one")


class AnswerFunction:
    """A CloudFront Function for viewer responses, run by node (CloudFront Developer Guide, "CloudFront Functions
    event structure")."""

    RUNNER = """
        const handler = new Function(process.argv[1] + "; return handler")()
        require("readline").createInterface({ input: process.stdin })
            .on("line", (event) => console.log(JSON.stringify(handler(JSON.parse(event)))))
    """

    def __init__(self, code):
        self.lock = threading.Lock()
        # It ends with its standard input.
        self.node = subprocess.Popen(
            ["node", "-e", self.RUNNER, code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, status, headers):
        response = {"statusCode": status, "headers": {name: {"value": value} for name, value in headers.items()}}
        event = {"version": "1.0", "context": {"eventType": "viewer-response"}, "response": response}
        with self.lock:
            print(json.dumps(event), file=self.node.stdin, flush=True)
            response = json.loads(self.node.stdout.readline())
        return response["statusCode"], {name: header["value"] for name, header in response["headers"].items()}


def function_event(method, target, headers, body):
    path, _, query = target.partition("?")
    event = {
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
        "headers": {"x-forwarded-proto": "https", "x-forwarded-port": "443", **headers},
        "requestContext": {
            "accountId": "anonymous", "apiId": "test", "domainName": "function", "domainPrefix": "function",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "test"},
            "requestId": "test", "routeKey": "$default", "stage": "$default",
            "time": "21/Nov/2026:00:00:00 +0000", "timeEpoch": 1795219200000,
        },
        "isBase64Encoded": bool(body),
    }
    if body:
        event["body"] = base64.b64encode(body).decode()
    return event


def signed(s3, bucket, public_key):
    """Verifies canned policies (CloudFront Developer Guide, "Use signed URLs"), which MiniStack does not, and
    gives what they allow from the bucket: MiniStack's own distribution wants HTTPS, which it does not speak."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = serialization.load_pem_public_key(public_key)

    def is_allowed(url):
        resource, _, query = url.partition("?")
        given = dict(urllib.parse.parse_qsl(query))
        try:
            expires = int(given["Expires"])
            signature = base64.b64decode(given["Signature"].translate(str.maketrans("-_~", "+=/")))
            algorithm = hashes.SHA256() if given.get("Hash-Algorithm") == "SHA256" else hashes.SHA1()
            condition = {"DateLessThan": {"AWS:EpochTime": expires}}
            policy = {"Statement": [{"Resource": resource, "Condition": condition}]}
            key.verify(signature, json.dumps(policy, separators=(",", ":")).encode(), ec.ECDSA(algorithm))
        except (KeyError, ValueError, InvalidSignature):
            return False
        return time.time() < expires

    class Blobs(Handler):
        def handle_one(self):
            if not is_allowed(f"http://{self.headers['host']}{self.path}"):
                return self.answer(403, [], b"Access denied")
            name = urllib.parse.unquote(self.path.partition("?")[0][1:])
            found = s3.get_object(Bucket=bucket, Key=name)
            self.send_response(200)
            self.send_header("content-length", str(found["ContentLength"]))
            self.end_headers()
            if self.command != "HEAD":
                for piece in found["Body"].iter_chunks(PIECE):
                    self.wfile.write(piece)

    return for_all_methods(Blobs, "handle_one")


def for_all_methods(handler, answer):
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        setattr(handler, f"do_{method}", getattr(handler, answer))
    return handler
