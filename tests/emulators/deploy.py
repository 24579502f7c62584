#!/usr/bin/env python3
"""Deploys template.yaml, as it is, to MiniStack, and stands in for CloudFront in front of it.

    deploy.py BOOTSTRAPS [Parameter=value...]

`sam validate --lint`, `sam build` and `sam deploy` are AWS's own, from PyPI. MiniStack enforces the
policies of the functions' roles. What it cannot do is HTTP below /v2/, which it takes for itself; so
this program takes requests, chooses the function by the behaviours that the deployed distribution has,
adds the headers that the origin is configured with, and calls the function by the Invoke API, with the
events that Function URLs make.

One line says how it went, in JSON: {"ready": {...}} or {"skip": "why"} or {"failed": "why"}. It ends
when its standard input does. A line `invoke NAME` on it invokes the function with that output's name.
"""

import base64
import fcntl
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import ministack  # noqa: E402
import tools  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
STACK = "roadstead"
# Lambda Developer Guide, "Lambda quotas": the payload of a synchronous invocation.
PAYLOAD = 6 * 1024 * 1024


def main():
    try:
        ministack.PROGRAM = tools.install("ministack-full") / "bin" / "ministack"
        sam = tools.install("sam")
        process, port = ministack.start()
    except Exception as error:
        return say({"skip": str(error)})
    try:
        # boto3 comes with SAM, and is there for no other Python.
        python = sam / "bin" / "python"
        if Path(sys.prefix) != sam:
            return subprocess.run([python, __file__, "--at", str(port), *sys.argv[1:]]).returncode
    finally:
        process.terminate()
        process.wait(10)


def at(port, bootstraps, parameters):
    url = f"http://127.0.0.1:{port}"
    os.environ.update({
        "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "SAM_CLI_TELEMETRY": "0", "ROADSTEAD_BOOTSTRAPS": bootstraps,
    })
    # SAM notes its builds in the repository: one at a time.
    with tempfile.TemporaryDirectory(prefix="roadstead-sam-") as folder, open(tools.CACHE / "build.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        overrides = ["--parameter-overrides", *parameters]
        sam("validate", "--lint")
        sam("build", "--build-dir", folder, *overrides)
        sam("deploy", "--config-file", str(ROOT / "samconfig.toml"), "--template-file", f"{folder}/template.yaml",
            "--no-confirm-changeset", *overrides)
    deployment = Deployment(url)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(deployment))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say({"ready": {"address": f"127.0.0.1:{server.server_address[1]}", "aws": url, "outputs": deployment.outputs,
                   "functions": sorted(deployment.functions)}})
    for line in sys.stdin:
        command, _, name = line.strip().partition(" ")
        if command == "invoke":
            say(deployment.invoke(deployment.outputs[name], {}))
        elif command == "direct":
            say(deployment.answer(deployment.outputs[name], "GET", "/v2/", {}, b""))


def sam(*arguments):
    program = Path(sys.prefix) / "bin" / "sam"
    done = subprocess.run([program, *arguments], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        say({"failed": f"sam {arguments[0]}: {done.stdout[-3000:]}{done.stderr[-3000:]}"})
        sys.exit(1)


class Deployment:
    """The stack, as AWS's own APIs describe it."""

    def __init__(self, url):
        import boto3
        from botocore.config import Config

        patient = Config(read_timeout=120, retries={"max_attempts": 0}, max_pool_connections=32)
        client = lambda service: boto3.client(service, config=patient)
        self.url, self.functions_api, self.secrets = url, client("lambda"), client("secretsmanager")
        stack = client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        self.functions = {}
        for page in self.functions_api.get_paginator("list_functions").paginate():
            for function in page["Functions"]:
                name = function["FunctionName"]
                try:
                    address = self.functions_api.get_function_url_config(FunctionName=name)["FunctionUrl"]
                    self.functions[address.split("/")[2]] = name
                except self.functions_api.exceptions.ResourceNotFoundException:
                    pass
        for name in [*self.functions.values(), self.outputs["MaintenanceFunction"]]:
            self.redirect(name)
        self.behaviors = list(self.distribution(client("cloudfront")))

    def distribution(self, cloudfront):
        """Pattern, host of the origin and its headers, in order."""
        found = cloudfront.list_distributions()["DistributionList"].get("Items", [])
        for item in found:
            config = cloudfront.get_distribution_config(Id=item["Id"])["DistributionConfig"]
            origins = {origin["Id"]: origin for origin in config["Origins"]["Items"]}
            behaviors = config["CacheBehaviors"].get("Items", [])
            for behavior in [*behaviors, {"PathPattern": "*", **config["DefaultCacheBehavior"]}]:
                origin = origins[behavior["TargetOriginId"]]
                headers = origin.get("CustomHeaders", {}).get("Items", [])
                headers = {header["HeaderName"].lower(): self.resolved(header["HeaderValue"]) for header in headers}
                pattern = re.escape(behavior["PathPattern"]).replace(r"\*", ".*").replace(r"\?", ".")
                yield re.compile(pattern, re.DOTALL), origin["DomainName"], headers

    def redirect(self, function):
        """On AWS a region says where S3, DynamoDB and EventBridge are."""
        variables = self.functions_api.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
        variables["REGISTRY_STORAGE_S3_REGIONENDPOINT"] = self.url
        variables["REGISTRY_METADATA_DYNAMODB_ENDPOINT"] = self.url
        if "REGISTRY_NOTIFICATIONS_EVENTBRIDGE_BUS" in variables:
            variables["REGISTRY_NOTIFICATIONS_EVENTBRIDGE_ENDPOINT"] = self.url
        self.functions_api.update_function_configuration(FunctionName=function, Environment={"Variables": variables})

    def resolved(self, value):
        """MiniStack leaves dynamic references alone in nested stacks; CloudFormation resolves them there too."""
        if found := re.fullmatch(r"\{\{resolve:secretsmanager:([^}]+)\}\}", value):
            return self.secrets.get_secret_value(SecretId=found[1])["SecretString"]
        return value

    def route(self, path):
        """The function that has a path, and what CloudFront tells it."""
        for pattern, host, headers in self.behaviors:
            if pattern.fullmatch(path):
                return self.functions[host], headers
        # Without a distribution there is one function, which clients call themselves.
        return next(iter(self.functions.values())), {}

    def answer(self, function, method, target, headers, body):
        path, _, query = target.partition("?")
        event = {
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
            "headers": {"host": "function", "x-forwarded-proto": "https", "x-forwarded-port": "443", **headers},
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
        return self.invoke(function, event)

    def invoke(self, function, event):
        payload = json.dumps(event)
        if len(payload) > PAYLOAD:
            return {"statusCode": 413, "headers": {}, "body": "Request Entity Too Large"}
        done = self.functions_api.invoke(FunctionName=function, Payload=payload, LogType="Tail")
        result = json.loads(done["Payload"].read() or b"null")
        if done.get("FunctionError"):
            log = base64.b64decode(done.get("LogResult", "")).decode(errors="replace")
            return {"statusCode": 502, "headers": {}, "body": f"{function}: {result} {log}"}
        return result


def handler(deployment):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def handle_one(self):
            body = self.body()
            headers = {name.lower(): value for name, value in self.headers.items()}
            for hop in ("connection", "transfer-encoding", "host"):
                headers.pop(hop, None)
            function, added = deployment.route(self.path.partition("?")[0])
            result = deployment.answer(function, self.command, self.path, {**headers, **added}, body)
            content = result.get("body") or ""
            content = base64.b64decode(content) if result.get("isBase64Encoded") else content.encode()
            self.send_response(result["statusCode"])
            for name, value in result.get("headers", {}).items():
                if name != "content-length" or self.command == "HEAD":
                    self.send_header(name, value)
            if self.command != "HEAD" and result["statusCode"] not in (204, 304):
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            else:
                self.end_headers()

        def body(self):
            if "chunked" not in self.headers.get("transfer-encoding", ""):
                return self.rfile.read(int(self.headers.get("content-length", 0)))
            content = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return content

    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        setattr(Handler, f"do_{method}", Handler.handle_one)
    return Handler


def say(value):
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--at"]:
        at(int(sys.argv[2]), sys.argv[3], sys.argv[4:])
    else:
        sys.exit(main())
