#!/usr/bin/env python3
"""MiniStack, with what our templates need beyond it. For its own Python; started by deploy.py.

It refuses a stack with a type of resource that it does not know: each of these gets a placeholder, which
has an id and does nothing. What they do on AWS is not emulated.
"""

import string
import sys

from ministack.app import main
from ministack.services.cloudformation import provisioners

# Type -> what its id is called in `Fn::GetAtt`.
PLACEHOLDERS = {
    "AWS::CloudFront::KeyGroup": "Id",
    "AWS::CloudFront::PublicKey": "Id",
    "AWS::CloudFront::VpcOrigin": "Id",
}
HANDLERS = provisioners._RESOURCE_HANDLERS


def placeholder(attribute):
    def create(name, _properties, stack):
        identifier = f"{stack}-{name}"
        return identifier, {attribute: identifier}

    return {"create": create, "delete": lambda _identifier, _properties: None}


def with_number(create, name):
    """A parameter arrives as text, also where the property is a number; CloudFormation converts it."""
    def created(logical_id, properties, stack):
        return create(logical_id, properties | {name: int(properties[name])}, stack)

    return created


def without_punctuation(create):
    """It knows ExcludeCharacters alone, and a secret that begins with `#` or `!` is none in a variable."""
    def created(logical_id, properties, stack):
        wanted = properties.get("GenerateSecretString", {})
        if wanted.get("ExcludePunctuation"):
            wanted = wanted | {"ExcludeCharacters": string.punctuation}
            properties = properties | {"GenerateSecretString": wanted}
        return create(logical_id, properties, stack)

    return created


def with_secrets(normalized):
    """Its containers keep the template's spelling of secrets, which the API then does not show."""
    def containers(definitions):
        for container in normalized(definitions):
            secrets = [{"name": secret["Name"], "valueFrom": secret["ValueFrom"]} for secret in container["secrets"]]
            yield container | {"secrets": secrets}

    return lambda definitions: list(containers(definitions))


if __name__ == "__main__":
    for resource_type, attribute in PLACEHOLDERS.items():
        # Once MiniStack knows a type, its own is better.
        HANDLERS.setdefault(resource_type, placeholder(attribute))
    service = HANDLERS["AWS::ECS::Service"]
    service["create"] = with_number(service["create"], "DesiredCount")
    secret = HANDLERS["AWS::SecretsManager::Secret"]
    secret["create"] = without_punctuation(secret["create"])
    provisioners._normalize_container_defs = with_secrets(provisioners._normalize_container_defs)
    sys.exit(main())
