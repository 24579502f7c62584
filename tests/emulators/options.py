"""What the options of template.yaml name has to be there before it is deployed: made here, for deploy.py."""

ZONE = "example.com"
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/roadstead:1"


def make(client):
    """The public key of the blobs' URLs in PEM, and the parameters for every option."""
    from cryptography.hazmat.primitives import serialization as to
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(to.Encoding.PEM, to.PrivateFormat.PKCS8, to.NoEncryption()).decode()
    public = key.public_key().public_bytes(to.Encoding.PEM, to.PublicFormat.SubjectPublicKeyInfo)
    zone = client("route53").create_hosted_zone(Name=ZONE, CallerReference="roadstead")["HostedZone"]["Id"]
    certificate = client("acm").request_certificate(DomainName=f"registry.{ZONE}")["CertificateArn"]
    secret = client("secretsmanager").create_secret(Name="roadstead-blobs", SecretString=private)["ARN"]
    topic = client("sns").create_topic(Name="alarms")["TopicArn"]
    return public, [
        f"UploadImage={IMAGE}",
        "CloudFrontPrefixList=pl-3b927c52",
        f"DomainName=registry.{ZONE}",
        f"CertificateArn={certificate}",
        f"HostedZoneId={zone.rpartition('/')[2]}",
        f"BlobPublicKey='{public.decode()}'",
        f"BlobPrivateKey={secret}",
        f"AlarmTopicArn={topic}",
        "EventBus=default",
    ]


def resources(cloudformation, stacks):
    """The types of all resources in these stacks."""
    found = set()
    for stack in stacks:
        for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack["StackName"]):
            found |= {resource["ResourceType"] for resource in page["StackResourceSummaries"]}
    return found
