#!/usr/bin/env python3
"""Deploys template.yaml, as it is, to MiniStack, and stands in for CloudFront in front of it.

    deploy.py BOOTSTRAPS [--every-option] [Parameter=value...]

`sam validate --lint`, `sam build` and `sam deploy` are AWS's own, from PyPI. MiniStack enforces the
policies of the functions' roles. What it cannot do is HTTP below /v2/, which it takes for itself; so
edge.py takes requests, chooses the function by the behaviours that the deployed distribution has,
and adds the headers that the origin is configured with.

With --every-option there are also the upload server, a name in Route 53, alarms with a topic, events, and
blobs by signed URLs. BOOTSTRAPS/roadstead is then the program of the upload server, which runs as the
deployed task says, BOOTSTRAPS/htpasswd has the users of Access=htpasswd, and ministack_main.py names the types of resources that nothing emulates.

One line says how it went, in JSON: {"ready": {...}} or {"skip": "why"} or {"failed": "why"}. It ends
when its standard input does. A line `invoke NAME` on it invokes the function with that output's name,
`direct NAME` asks it for /v2/ without what CloudFront adds, and `memory` is for the bytes that the upload
server has had at most.
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
from http.server import ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import edge  # noqa: E402
import ministack  # noqa: E402
import options  # noqa: E402
import tools  # noqa: E402
from upload_server import UploadServer  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
STACK = "roadstead"


def main():
    try:
        home = tools.install("ministack-full")
        sam = tools.install("sam")
        # No container is to be run, whether or not there is a Docker.
        os.environ["DOCKER_HOST"] = "unix:///nonexistent"
        # -I: in that folder `ministack` is our own.
        program = [home / "bin" / "python", "-I", ROOT / "tests/emulators/ministack_main.py"]
        process, port = ministack.start(program)
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
    public_key = None
    if "--every-option" in parameters:
        parameters.remove("--every-option")
        public_key, named = options.make(client)
        parameters += named
    # SAM notes its builds in the repository: one at a time.
    with tempfile.TemporaryDirectory(prefix="roadstead-sam-") as folder, open(tools.CACHE / "build.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        overrides = ["--parameter-overrides", *parameters]
        sam("validate", "--lint")
        sam("build", "--build-dir", folder, *overrides)
        sam("deploy", "--config-file", str(ROOT / "samconfig.toml"), "--template-file", f"{folder}/template.yaml",
            "--no-confirm-changeset", *overrides)
    try:
        deployment = Deployment(url, Path(bootstraps), public_key)
    except Exception as error:
        return say({"failed": repr(error)})
    try:
        serve(deployment)
    finally:
        deployment.end()


def serve(deployment):
    say({"ready": {"address": deployment.address, "aws": deployment.url, "outputs": deployment.outputs,
                   "functions": sorted(deployment.functions), "resources": deployment.resources}})
    for line in sys.stdin:
        command, _, name = line.strip().partition(" ")
        if command == "invoke":
            say(deployment.invoke(deployment.outputs[name], {}))
        elif command == "direct":
            event = edge.function_event("GET", "/v2/", {"host": "function"}, b"")
            say(deployment.invoke(deployment.outputs[name], event))
        elif command == "memory":
            say(deployment.uploads.peak())


def listen(handler):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"127.0.0.1:{server.server_address[1]}"


def sam(*arguments):
    program = Path(sys.prefix) / "bin" / "sam"
    done = subprocess.run([program, *arguments], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        why = list(failures()) if arguments[0] == "deploy" else []
        say({"failed": f"sam {arguments[0]}: {why or done.stdout[-3000:] + done.stderr[-3000:]}"})
        sys.exit(1)


def failures():
    """Of a deployment, which SAM shows in a table of narrow columns, and without those of nested stacks."""
    cloudformation = client("cloudformation")
    for stack in cloudformation.describe_stacks()["Stacks"]:
        for event in cloudformation.describe_stack_events(StackName=stack["StackId"])["StackEvents"]:
            if event["ResourceStatus"].endswith("_FAILED"):
                yield f"{event['ResourceType']} {event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"


def client(service):
    import boto3
    from botocore.config import Config

    patient = Config(read_timeout=120, retries={"max_attempts": 0}, max_pool_connections=32)
    return boto3.client(service, config=patient)


class Deployment:
    """The stack, as AWS's own APIs describe it."""

    def __init__(self, url, bootstraps, public_key):
        self.bootstraps = bootstraps
        self.url, self.functions_api, self.secrets = url, client("lambda"), client("secretsmanager")
        stacks = client("cloudformation").describe_stacks()["Stacks"]
        stack, = (stack for stack in stacks if stack["StackName"] == STACK)
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        self.resources = sorted(options.resources(client("cloudformation"), stacks))
        self.functions = {}
        for page in self.functions_api.get_paginator("list_functions").paginate():
            for function in page["Functions"]:
                name = function["FunctionName"]
                try:
                    address = self.functions_api.get_function_url_config(FunctionName=name)["FunctionUrl"]
                    self.functions[address.split("/")[2]] = name
                except self.functions_api.exceptions.ResourceNotFoundException:
                    pass
        self.address = listen(edge.in_front_of(self))
        self.behaviors, self.uploads, blobs = [], None, None
        for config in distributions(client("cloudfront")):
            # That of the blobs has none.
            if config.get("CacheBehaviors", {}).get("Items"):
                self.behaviors = list(self.routes(config, answer_functions(client("cloudfront"))))
            else:
                blobs = listen(edge.signed(client("s3"), self.outputs["Bucket"], public_key))
        for name in [*self.functions.values(), self.outputs["MaintenanceFunction"]]:
            self.redirect(name, blobs)
        balancers = client("elbv2").describe_load_balancers()["LoadBalancers"]
        if balancers:
            self.uploads = UploadServer(client, bootstraps / "roadstead", url, balancers[0]["DNSName"])

    def end(self):
        if self.uploads:
            self.uploads.end()

    def routes(self, config, answer_functions):
        """Pattern, host of the origin, its headers, and the function over its answers, in order."""
        origins = {origin["Id"]: origin for origin in config["Origins"]["Items"]}
        for behavior in [*config["CacheBehaviors"]["Items"], {"PathPattern": "*", **config["DefaultCacheBehavior"]}]:
            origin = origins[behavior["TargetOriginId"]]
            headers = origin.get("CustomHeaders", {}).get("Items", [])
            headers = {header["HeaderName"].lower(): self.resolved(header["HeaderValue"]) for header in headers}
            pattern = re.escape(behavior["PathPattern"]).replace(r"\*", ".*").replace(r"\?", ".")
            associated = behavior.get("FunctionAssociations", {}).get("Items", [])
            associated = [it["FunctionARN"] for it in associated if it["EventType"] == "viewer-response"]
            function = answer_functions[associated[0]] if associated else None
            yield re.compile(pattern, re.DOTALL), origin["DomainName"], headers, function

    def redirect(self, function, blobs):
        """On AWS a region says where S3, DynamoDB and EventBridge are, and a name where a distribution is."""
        variables = self.functions_api.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
        variables["REGISTRY_STORAGE_S3_REGIONENDPOINT"] = self.url
        variables["REGISTRY_METADATA_DYNAMODB_ENDPOINT"] = self.url
        if "REGISTRY_NOTIFICATIONS_EVENTBRIDGE_BUS" in variables:
            variables["REGISTRY_NOTIFICATIONS_EVENTBRIDGE_ENDPOINT"] = self.url
        if "REGISTRY_HTTP_HOST" in variables:
            variables["REGISTRY_HTTP_HOST"] = f"http://{self.address}"
        if "REGISTRY_AUTH_HTPASSWD_PATH" in variables:
            # MiniStack unpacks functions where it likes, and AWS in /var/task.
            variables["REGISTRY_AUTH_HTPASSWD_PATH"] = str(self.bootstraps / "htpasswd")
        if blobs:
            variables["REGISTRY_MIDDLEWARE_STORAGE_0_OPTIONS_BASEURL"] = f"http://{blobs}/"
        self.functions_api.update_function_configuration(FunctionName=function, Environment={"Variables": variables})

    def resolved(self, value):
        """MiniStack leaves dynamic references alone in nested stacks; CloudFormation resolves them there too."""
        if found := re.fullmatch(r"\{\{resolve:secretsmanager:([^}]+)\}\}", value):
            return self.secrets.get_secret_value(SecretId=found[1])["SecretString"]
        return value

    def route(self, path):
        """The host of the origin that has a path, what CloudFront tells it, and does to its answers."""
        for pattern, host, headers, function in self.behaviors:
            if pattern.fullmatch(path):
                return host, headers, function
        # Without a distribution there is one function, which clients call themselves.
        return next(iter(self.functions)), {}, None

    def invoke(self, function, event):
        payload = json.dumps(event)
        if len(payload) > edge.PAYLOAD:
            return {"statusCode": 413, "headers": {}, "body": "Request Entity Too Large"}
        done = self.functions_api.invoke(FunctionName=function, Payload=payload, LogType="Tail")
        result = json.loads(done["Payload"].read() or b"null")
        if done.get("FunctionError"):
            log = base64.b64decode(done.get("LogResult", "")).decode(errors="replace")
            return {"statusCode": 502, "headers": {}, "body": f"{function}: {result} {log}"}
        return result


def distributions(cloudfront):
    for item in cloudfront.list_distributions()["DistributionList"].get("Items", []):
        yield cloudfront.get_distribution_config(Id=item["Id"])["DistributionConfig"]


def answer_functions(cloudfront):
    """The published CloudFront Functions by their ARNs."""
    functions = {}
    for item in cloudfront.list_functions(Stage="LIVE")["FunctionList"].get("Items", []):
        code = cloudfront.get_function(Name=item["Name"], Stage="LIVE")["FunctionCode"].read().decode()
        functions[item["FunctionMetadata"]["FunctionARN"]] = edge.AnswerFunction(code)
    return functions


def say(value):
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--at"]:
        at(int(sys.argv[2]), sys.argv[3], sys.argv[4:])
    else:
        sys.exit(main())
