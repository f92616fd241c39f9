"""What the flows of `azure_key_vault.py` stand on: the vault's description, credentials, a workload with its verifier, and checks."""

import base64
import json
import os
import socket
import subprocess
import sys
import time
from urllib.parse import urlparse

from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.keyvault.keys import KeyClient, KeyReleasePolicy
from azure.keyvault.keys.crypto import CryptographyClient
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

# Status, code and inner code of refusals, and what the client raises for a status.
UNFIT = (400, "BadParameter", "BadParameter")
NO_ROLE = (403, "Forbidden", "ForbiddenByRbac")
DENIED = (403, "Forbidden", "AccessDenied")
NOT_THERE = (404, "KeyNotFound", "KeyNotFound")
OFF = (403, "Forbidden", "KeyDisabled")
TAKEN = (409, "Conflict", "Conflict")
UNKNOWN = (401, "Unauthorized", "Unauthorized")
NONCE = (401, "Unauthorized", "AttestationNonceRequired")
NOT_MET = (403, "Forbidden", "AttestationDenied")
NO_EVIDENCE = (400, "BadParameter", "AttestationInvalid")
NOT_SERVED = (501, "NotImplemented", "NotImplemented")
DELETED = (409, "Conflict", "ObjectIsDeletedButRecoverable")
KINDS = {401: ClientAuthenticationError, 404: ResourceNotFoundError, 409: ResourceExistsError}

MEASUREMENT, OTHER = "ab01" * 24, "cd02" * 24


def text(raw):
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def raw(written):
    return base64.urlsafe_b64decode(written + "=" * (-len(written) % 4))


def number(value):
    return text(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def check(good, what):
    if not good:
        print(f"NOT AS EXPECTED: {what}")
        sys.exit(1)


def same(found, wanted, what):
    check(found == wanted, f"{what}: {found!r} instead of {wanted!r}")


def done(what):
    print(f"done     {what}")


class Credential:
    """A token that does not change, as azure-core wants credentials."""

    def __init__(self, token):
        self.token, self.scopes = token, set()

    def get_token(self, *scopes, **_):
        self.scopes.update(scopes)
        return AccessToken(self.token, int(time.time()) + 3600)


class Attested:
    """All that a workload adds to use keys: evidence as the bearer, with the nonce that the vault asks for."""

    def __init__(self, attest):
        self.attest = attest

    def get_token(self, *_scopes, claims=None, **_options):
        nonce = json.loads(claims)["access_token"]["nonce"]["value"] if claims else None
        return AccessToken(self.attest(nonce), int(time.time()) + 3600)


class Counting(RequestsTransport):
    """The client's usual transport; it remembers what was answered."""

    def __init__(self, **options):
        super().__init__(**options)
        self.answers = []

    def send(self, request, **options):
        response = super().send(request, **options)
        self.answers.append((request.method, urlparse(request.url).path, response.status_code))
        return response

    def taken(self):
        answers, self.answers = self.answers, []
        return answers


class Workload:
    """A confidential container with a key of its own, and the tokens that its verifier makes for it."""

    def __init__(self, stage, measurement=MEASUREMENT):
        self.stage, self.measurement = stage, measurement
        self.key = rsa.generate_private_key(65537, 2048)

    def token(self, nonce=None, signer="verifier", **changes):
        public = self.key.public_key().public_numbers()
        held = {"kid": "workload-1", "kty": "RSA", "key_use": "enc", "key_ops": ["encrypt"]}
        held |= {"n": number(public.n), "e": number(public.e)}
        now = int(time.time())
        claims = {
            "iss": self.stage.issuer,
            "iat": now,
            "nbf": now,
            "exp": now + 28800,
            "x-ms-ver": "1.0",
            "x-ms-attestation-type": "sevsnpvm",
            "x-ms-compliance-status": "azure-compliant-uvm",
            "x-ms-sevsnpvm-is-debuggable": False,
            "x-ms-sevsnpvm-launchmeasurement": self.measurement,
            "x-ms-sevsnpvm-vmpl": 0,
            "x-ms-runtime": {"keys": [held]} | ({"nonce": nonce} if nonce else {}),
        }
        head = {"alg": "RS256", "typ": "JWT", "kid": "verifier-1", "jku": f"{self.stage.issuer}/certs"}
        signed = ".".join(text(json.dumps(part).encode()) for part in [head, claims | changes])
        key = serialization.load_pem_private_key(self.stage.read(f"{signer}.key"), None)
        return f"{signed}.{text(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def credential(self):
        return Attested(self.token)


class Stage:
    def __init__(self, description):
        with open(description) as file:
            told = json.load(file)
        self.vault, self.host, self.ca, self.issuer = (told[name] for name in ["vault", "host", "ca", "issuer"])
        self.folder, self.keygate, self.admin = (told[name] for name in ["folder", "keygate", "admin"])
        # No machine has to be told of the name.
        usual = socket.getaddrinfo
        here = lambda host, *rest, **more: usual("127.0.0.1" if host == self.host else host, *rest, **more)  # noqa: E731
        socket.getaddrinfo = here

    def read(self, name):
        with open(os.path.join(self.folder, name), "rb") as file:
            return file.read()

    def bearer(self, who):
        return Credential(self.read(f"{who}.token").decode())

    def keys(self, who):
        # With every default but the CA.
        return KeyClient(self.vault, self.bearer(who), connection_verify=self.ca)

    def crypto(self, key, who):
        """For a key, or its id alone; `who` is a name or a credential."""
        credential = self.bearer(who) if isinstance(who, str) else who
        return CryptographyClient(key, credential, connection_verify=self.ca)

    def counted(self, key, credential):
        transport = Counting(connection_verify=self.ca)
        return CryptographyClient(key, credential, transport=transport), transport

    def policy(self, immutable=None, **more):
        held = {
            "x-ms-attestation-type": "sevsnpvm",
            "x-ms-compliance-status": "azure-compliant-uvm",
            "x-ms-sevsnpvm-is-debuggable": "false",
            "x-ms-sevsnpvm-launchmeasurement": MEASUREMENT,
        } | more
        tests = [{"claim": claim, "equals": value} for claim, value in held.items()]
        rule = {"version": "1.0.0", "anyOf": [{"authority": f"{self.issuer}/", "allOf": tests}]}
        return rule, KeyReleasePolicy(json.dumps(rule, indent=1).encode(), immutable=immutable)

    def set_option(self, name, **options):
        """What a rule officer does at the other door."""
        rule, _ = self.policy()
        place = os.path.join(self.folder, "apply", "keys")
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, f"{name}.json"), "w") as file:
            json.dump({"rules": {"default": rule}, "options": {"freshness": "issuer"} | options}, file)
        words = ["apply", "-f", os.path.dirname(place), "--server", self.admin, "--ca", self.ca]
        words += ["--credential", os.path.join(self.folder, "officer.token")]
        subprocess.run([self.keygate, *words], check=True, stdout=subprocess.DEVNULL)
        os.remove(os.path.join(place, f"{name}.json"))


def refused(what, call, codes, words=""):
    """The client raises what it has for such a status, with our codes and sentence; returns the inner error."""
    try:
        call()
    except HttpResponseError as error:
        kind = KINDS.get(error.status_code, HttpResponseError)
        check(type(error) is kind, f"{what}: raised {type(error).__name__}: {error}")
        body = json.loads(error.response.text())["error"]
        found = (error.status_code, body["code"], body["innererror"]["code"])
        same(found, codes, f"{what}: {body}")
        check(words in body["message"] and words in str(error), f"{what}: `{error}` lacks `{words}`")
        print(f"refused  {what:<58} {codes[0]} {codes[1]}/{codes[2]}: {body['message']}")
        return body["innererror"]
    check(False, f"{what}: was not refused")
