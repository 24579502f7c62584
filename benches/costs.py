#!/usr/bin/env python3
"""What a deployment on AWS costs: the tables of docs/serverless.md, from prices and counts.

    costs.py     prints them; change PRICES to today's, and the counts to yours

US dollars, us-east-1, arm64, without free tiers, discounts and taxes. A count that is a call of the registry is
asserted by a test: tests/tests/blackbox/calls.rs.
"""

# What: dollars, for how many.
PRICES = {
    "Lambda, request": (0.20, 1e6),
    "Lambda, GB-second": (0.0000133334, 1),
    "DynamoDB, read unit": (0.125, 1e6),
    "DynamoDB, write unit": (0.625, 1e6),
    "CloudFront, HTTPS request": (0.0100, 1e4),
    "CloudFront, call of its function": (0.10, 1e6),
    "CloudFront, GB to the origin": (0.020, 1),
    "S3, PUT or POST": (0.005, 1e3),
    "S3, GET": (0.0004, 1e3),
    "S3, GB and month": (0.023, 1),
    "Fargate, vCPU and hour": (0.03238, 1),
    "Fargate, GB and hour": (0.00356, 1),
    "load balancer, hour": (0.0225, 1),
    "load balancer, LCU and hour": (0.008, 1),
    "public IPv4 address, hour": (0.005, 1),
    "CloudWatch, GB of logs": (0.50, 1),
    "CloudWatch, alarm and month": (0.10, 1),
    "Secrets Manager, secret and month": (0.40, 1),
}
MILLION = 1e6
HOURS = 730

# The image of the pulls, and what a client asks for: /v2/, the manifest by its tag, each blob.
BLOBS = 5
# Of a function at work, in seconds and GB: an assumption.
SECONDS, MEMORY, MEMORY_OF_BASE = 0.020, 0.5, 0.125
# Of a manifest of at most 4 KB by tag, and of a blob: its link, and where it lies.
READS_OF_MANIFEST, READS_OF_BLOB = 1, 2
# Lambda's own lines START, END and REPORT: 250 bytes, and 26 that CloudWatch adds to each.
BYTES_OF_LOG = 330

# What is pushed: GB, layers, images; a config and a manifest each.
PUSHED, LAYERS, IMAGES = 100, 1000, 200
# A layer of 100 MB in parts of 10 MiB; what begins and ends a multipart upload, and the state of the upload.
PUTS_OF_LAYER, PUTS_OF_CONFIG = 10 + 3, 2
# A redirected HEAD is one more GET at S3, which is not counted.
# At the functions: HEAD and POST of a layer; /v2/, HEAD and POST of the config, the manifest. At the server: PATCH and PUT.
AT_FUNCTIONS, AT_SERVER = LAYERS * 2 + IMAGES * 4, (LAYERS + IMAGES) * 2


def main():
    pulls = MILLION
    requests = pulls * (2 + BLOBS)
    table("A million pulls", [
        ("Lambda, requests", requests, "Lambda, request"),
        ("Lambda, time", pulls * SECONDS * ((1 + BLOBS) * MEMORY + MEMORY_OF_BASE), "Lambda, GB-second"),
        ("DynamoDB", pulls * (READS_OF_MANIFEST + BLOBS * READS_OF_BLOB), "DynamoDB, read unit"),
        ("CloudFront, requests to the functions", requests, "CloudFront, HTTPS request"),
        ("CloudFront, the function over answers", requests, "CloudFront, call of its function"),
        ("S3, blobs", pulls * BLOBS, "S3, GET"),
        ("logs", requests * BYTES_OF_LOG / 1e9, "CloudWatch, GB of logs"),
    ])
    table("100 GB pushed", [
        ("CloudFront to the origin", PUSHED, "CloudFront, GB to the origin"),
        ("load balancer, 1 GB an LCU and hour", PUSHED, "load balancer, LCU and hour"),
        ("S3, parts and configs", LAYERS * PUTS_OF_LAYER + IMAGES * PUTS_OF_CONFIG, "S3, PUT or POST"),
        ("DynamoDB, written", write_units(), "DynamoDB, write unit"),
        ("DynamoDB, read", read_units(), "DynamoDB, read unit"),
        ("CloudFront, requests", AT_FUNCTIONS + AT_SERVER, "CloudFront, HTTPS request"),
        ("CloudFront, the function over answers", AT_FUNCTIONS, "CloudFront, call of its function"),
        ("Lambda, requests", AT_FUNCTIONS, "Lambda, request"),
        ("Lambda, time", AT_FUNCTIONS * SECONDS * MEMORY, "Lambda, GB-second"),
    ])
    table("A month, for what was pushed and for what stands still", [
        ("100 GB kept", PUSHED, "S3, GB and month"),
        ("secrets", 2, "Secrets Manager, secret and month"),
        ("alarms of the functions", 17, "CloudWatch, alarm and month"),
    ])
    table("A month more with the upload server", [
        ("load balancer", HOURS, "load balancer, hour"),
        ("one task, processor", HOURS * 0.25, "Fargate, vCPU and hour"),
        ("one task, memory", HOURS * 1.0, "Fargate, GB and hour"),
        ("its address", HOURS, "public IPv4 address, hour"),
        ("its alarms", 3, "CloudWatch, alarm and month"),
    ])


def read_units():
    """To look for a blob before it is pushed, and to go on with an upload; a manifest looks for its blobs."""
    blobs = LAYERS + IMAGES
    return blobs * (2 + 3 + 3) + blobs * 3


def write_units():
    """One for each KB of a row, twice that in a transaction."""
    # Begun, noted, ended by a transaction of three rows; forgotten by the purge.
    blob = 1 + 1 + 2 * 3 + 2
    # Revision, tag, and by digest and by tag a manifest of at most 2 KB.
    manifest = 2 * (1 + 1 + 2 + 2)
    return (LAYERS + IMAGES) * blob + IMAGES * manifest


def table(title, rows):
    print(f"**{title}**\n\n| | count | price | |\n|---|---|---|---|")
    total = 0
    for what, count, price in rows:
        dollars, units = PRICES[price]
        total += count / units * dollars
        each = f"{dollars:.10f}".rstrip("0").ljust(4, "0") + (f" for {units:,.0f}" if units > 1 else "")
        print(f"| {what} | {count:,.{1 if count < 10 else 0}f} | {each} | {count / units * dollars:.2f} |")
    print(f"| **sum** | | | **{total:.2f}** |\n")


if __name__ == "__main__":
    main()
