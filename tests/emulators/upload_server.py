"""Runs the upload server as the deployed task definition says: command, variables, secrets, and the role
of the task, whose policies MiniStack enforces. For the tests of what deploy.py has deployed."""

import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path

import ministack

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60


class UploadServer:
    def __init__(self, client, program, url, host):
        self.host = host
        task = running(client("ecs"))
        container = task["containerDefinitions"][0]
        # What the image has there: infra/image.
        command = [argument.replace("/etc/roadstead/", f"{ROOT}/infra/examples/") for argument in container["command"]]
        environment = variables(container, client("secretsmanager"), url) | assumed(client, task["taskRoleArn"])
        # Another process may take the free port before it does; then it ends at once.
        for _ in range(5):
            self.address = ("127.0.0.1", ministack.free_port())
            environment["REGISTRY_HTTP_ADDR"] = "{}:{}".format(*self.address)
            self.process = subprocess.Popen([program, *command], env=environment, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL)
            if self.listens():
                return
        raise RuntimeError("the upload server does not start")

    def listens(self):
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(self.address, timeout=5).close()
                return True
            except OSError:
                time.sleep(0.05)
        self.process.kill()
        return False

    def peak(self):
        """Bytes of memory that it has had at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    def end(self):
        self.process.terminate()
        self.process.wait(150)


def running(ecs):
    """The task definition of the one service."""
    cluster, = ecs.list_clusters()["clusterArns"]
    service, = ecs.list_services(cluster=cluster)["serviceArns"]
    service, = ecs.describe_services(cluster=cluster, services=[service])["services"]
    return ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]


def variables(container, secrets, url):
    found = {variable["name"]: variable["value"] for variable in container["environment"]}
    for secret in container["secrets"]:
        found[secret["name"]] = secrets.get_secret_value(SecretId=secret["valueFrom"])["SecretString"]
    # On AWS a region says where these are.
    found |= {
        "REGISTRY_STORAGE_S3_REGIONENDPOINT": url,
        "REGISTRY_METADATA_DYNAMODB_ENDPOINT": url,
        "REGISTRY_LOG_LEVEL": "warn",
    }
    if "REGISTRY_NOTIFICATIONS_EVENTBRIDGE_BUS" in found:
        found["REGISTRY_NOTIFICATIONS_EVENTBRIDGE_ENDPOINT"] = url
    return found


def assumed(client, role):
    """Credentials of a role, as the agent of ECS gets them; here the owner of the account is trusted instead."""
    iam, name = client("iam"), role.rpartition("/")[2]
    policy = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    trusted = [statement["Principal"] for statement in policy["Statement"]]
    assert trusted == [{"Service": "ecs-tasks.amazonaws.com"}], trusted
    policy["Statement"][0]["Principal"] = {"AWS": role.split(":")[4]}
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(policy))
    given = client("sts").assume_role(RoleArn=role, RoleSessionName="uploads")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
        "PATH": os.environ["PATH"],
    }
