"""Azure's own client for Python, as it is published, against two providers on one host.

    azure_attestation.py STAGE

STAGE is a JSON file: `url` of a provider that is open to roles, `iso` of an isolated one, `ca`, and the `folder` with evidence, policy
signers and credentials; with `tpm`, there is a machine with a TPM (`tpm_machine.py`). Every step prints one line. The first thing that is not as expected ends the program with exit code 1.
"""

import base64
import hashlib
import json
import os
import subprocess
import sys
import time

from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.security.attestation import (
    AttestationAdministrationClient,
    AttestationClient,
    AttestationPolicyToken,
    AttestationToken,
    AttestationTokenValidationException,
    AttestationType,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PERMIT = "version=1.0; authorizationrules{=> permit();}; issuancerules{};"
DENY = 'version=1.0; authorizationrules{ c:[type=="x-ms-sgx-is-debuggable", value==false] => deny(); }; issuancerules{};'
ISSUE = 'version=1.0; authorizationrules{=> permit();}; issuancerules{ => issue(type="team", value="blue"); };'
TPM = """version=1.2;
authorizationrules { [type=="aikValidated", value==true, issuer=="AttestationService"] => permit(); };
issuancerules {
    c:[type=="events", issuer=="AttestationService"] => issue(type="secureBoot", value=JsonToClaimValue(JmesPath(c.value, "Events[?ProcessedData.UnicodeName == 'SecureBoot'] | length(@) == `1` && [0].ProcessedData.VariableData == 'AQ'")));
    => issueproperty(type="report_validity_in_minutes", value=10);
};"""
ENCLAVES = [AttestationType.SGX_ENCLAVE, AttestationType.OPEN_ENCLAVE]


class Credential:
    """A token that does not change, as azure-core wants credentials."""

    def __init__(self, token):
        self.token, self.scopes = token, set()

    def get_token(self, *scopes, **_):
        self.scopes.update(scopes)
        return AccessToken(self.token, int(time.time()) + 3600)


def check(good, what):
    if not good:
        print(f"NOT AS EXPECTED: {what}")
        sys.exit(1)


def same(found, wanted, what):
    check(found == wanted, f"{what}: {found!r} instead of {wanted!r}")


class Stage:
    def __init__(self, description):
        with open(description) as file:
            told = json.load(file)
        self.url, self.iso, self.ca, self.folder = (told[name] for name in ["url", "iso", "ca", "folder"])
        self.tpm = told["tpm"]
        self.quote, self.report = self.read("sgx-quote.bin"), self.read("oe-report.bin")
        self.held, self.init = self.read("held.json"), self.read("init.json")

    def read(self, name):
        with open(os.path.join(self.folder, name), "rb") as file:
            return file.read()

    def signer(self, name):
        """Key and certificate, as the client wants them."""
        return {"signing_key": self.read(f"{name}.key").decode(), "signing_certificate": self.read(f"{name}.pem").decode()}

    def der(self, name):
        return x509.load_pem_x509_certificate(self.read(f"{name}.pem")).public_bytes(serialization.Encoding.DER)

    def pem(self, name):
        """A certificate as this client writes it."""
        text = base64.b64encode(self.der(name)).decode()
        lines = [text[at : at + 64] for at in range(0, len(text), 64)]
        return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])

    def x5c(self, name):
        return [base64.b64encode(self.der(name)).decode()]

    def options(self, url):
        # Tokens are checked in full: by signature, dates without any slack, and issuer.
        return {"connection_verify": self.ca, "validate_issuer": True, "issuer": url, "validation_slack": 0}

    def client(self, url, who, kind=AttestationClient):
        provider = "iso" if url == self.iso else "default"
        credential = Credential(self.read(f"{provider}-{who}.token").decode())
        return kind(url, credential, **self.options(url))

    def admin(self, url, who):
        return self.client(url, who, AttestationAdministrationClient)


def refused(what, call, status, code, words, kind=HttpResponseError):
    """The client raises, and what it raises has our code and sentence."""
    try:
        call()
    except HttpResponseError as error:
        check(isinstance(error, kind), f"{what}: raised {type(error).__name__}")
        body = json.loads(error.response.text())["error"]
        same((error.status_code, body["code"]), (status, code), f"{what}: {body}")
        check(words in body["message"] and words in str(error), f"{what}: `{error}` lacks `{words}`")
        same(error.response.headers["x-ms-error-code"], code, what)
        print(f"refused  {what:<52} {status} {code}: {body['message']}")
    else:
        check(False, f"{what}: was not refused")


def attest(stage, url, who):
    """SGX and Open Enclave: as bytes, as JSON, with neither, with data from the start of the enclave, and a draft."""
    client = stage.client(url, who)
    claimed = json.loads(stage.held)
    for name, call, evidence in [
        ("sgx", client.attest_sgx_enclave, stage.quote),
        ("open enclave", client.attest_open_enclave, stage.report),
    ]:
        result, token = call(evidence, runtime_data=stage.held)
        same(result.enclave_held_data, stage.held, "held data")
        check(result.runtime_claims is None and result.inittime_claims is None, "claims of data that was bytes")
        same((result.issuer, result.version, result.verifier_type), (url, "1.0", "sgx"), "issuer, version, kind")
        same((result.is_debuggable, result.product_id, result.svn), (False, 1, 2), "debug, product, version")
        same((result.mr_enclave, result.mr_signer), ("e1" * 32, "51" * 32), "measurements")
        same(result.sgx_collateral["quotehash"], hashlib.sha256(evidence).hexdigest(), "hash of what was sent")
        check(result.unique_id and len(result.policy_hash) == 32, f"id {result.unique_id}, policy {result.policy_hash}")
        same((token.algorithm, token.type, token.key_url), ("RS256", "JWT", f"{url}/certs"), "head of the token")
        same(token.expires.timestamp() - token.issued.timestamp(), 28800, "life of the token")
        again, _ = call(evidence, runtime_data=stage.held)
        check(again.unique_id != result.unique_id, "two tokens have one id")

        result, _ = call(evidence, runtime_json=stage.held)
        same(result.runtime_claims, claimed, "run-time claims")
        check(result.enclave_held_data is None, "JSON is also held data")
        result, _ = call(evidence)
        check(result.runtime_claims is None and result.enclave_held_data is None, "data from nowhere")

        # A draft is tried, not signed, and not kept.
        result, token = call(evidence, runtime_json=stage.held, draft_policy=ISSUE)
        same((token.algorithm, token.signature_bytes), ("none", b""), "token of a draft")
        same((result.issuer, result.runtime_claims), (url, claimed), "claims of a draft")
        same(json.loads(token.body_bytes)["team"], "blue", "issued by a draft")
        _, token = call(evidence)
        check("team" not in json.loads(token.body_bytes), "a draft was kept")
        print(f"attested {name} at {url}: bytes, JSON, nothing, a draft")
    return client


def init_data(stage, client):
    quote = stage.read("sgx-quote-init.bin")
    result, _ = client.attest_sgx_enclave(quote, runtime_data=stage.held, inittime_data=stage.init)
    check(result.inittime_claims is None, "bytes from the start became claims")
    # This version sends `inittime_json` as null: it is as if nothing were sent.
    result, _ = client.attest_sgx_enclave(quote, runtime_data=stage.held, inittime_json=stage.init)
    check(result.inittime_claims is None, "null became claims")
    result, _ = client.attest_sgx_enclave(stage.read("sgx-quote-debug.bin"), runtime_data=stage.held)
    same(result.is_debuggable, True, "an enclave in debug mode")
    print("attested data from the start of an enclave, and an enclave in debug mode")
    other = {"inittime_data": stage.init + b" "}
    refused("other data from the start", lambda: client.attest_sgx_enclave(quote, **other), 400, "InvalidParameter", "")


def metadata(stage, url, client):
    told = client.get_open_id_metadata()
    same((told["issuer"], told["jwks_uri"]), (url, f"{url}/certs"), "metadata")
    signers = client.get_signing_certificates()
    check(signers and all(signer.key_id and signer.certificates for signer in signers), "key set")
    for signer in signers:
        certificate = x509.load_pem_x509_certificate(signer.certificates[0].encode())
        names = [name.value for name in certificate.subject]
        same(names, [url], "subject of a certificate that signs tokens")
    print(f"read     metadata and {len(signers)} signing certificate of {url}")
    return signers


def clocks(stage, client):
    """`nbf` is never ahead of a client on the same clock: slack is zero."""
    begun, calls = time.monotonic(), 0
    while time.monotonic() - begun < 1.5:
        _, token = client.attest_sgx_enclave(stage.quote, runtime_data=stage.held)
        same(token.not_before, token.issued, "nbf and iat")
        calls += 1
    print(f"attested {calls} times within 1.5 s; no token was from the future")


def foreign(stage, client, strange):
    """A token of one provider is not one of another."""
    _, token = client.attest_sgx_enclave(stage.quote, runtime_data=stage.held)
    own, theirs = client.get_signing_certificates(), strange.get_signing_certificates()
    token._validate_token(own, validate_issuer=True, issuer=stage.url)
    for what, signers, issuer in [("keys of another provider", theirs, stage.url), ("another issuer", own, stage.iso)]:
        try:
            token._validate_token(signers, validate_issuer=True, issuer=issuer)
        except AttestationTokenValidationException as error:
            print(f"rejected a token under {what}: {error}")
        else:
            check(False, f"a token was good under {what}")


def policies(stage, admin, client):
    """Read, set, set with a signature of each kind, reset."""
    stored = lambda token: json.loads(token.body_bytes)["x-ms-policy"]

    def issued(kind):
        sgx = kind == AttestationType.SGX_ENCLAVE
        _, token = client.attest_sgx_enclave(stage.quote) if sgx else client.attest_open_enclave(stage.report)
        body = json.loads(token.body_bytes)
        return body["team"], body["x-ms-policy-signer"]["x5c"]

    same(client.attest_sgx_enclave(stage.quote)[0].policy_signer, None, "signer of the default policy")
    for kind in ENCLAVES:
        default, token = admin.get_policy(kind)
        check(default.startswith("version") and token.issuer == stage.url, f"default policy: {default!r}")
        plain = AttestationPolicyToken(PERMIT)
        outcome, token = admin.set_policy(kind, PERMIT)
        same(outcome.policy_resolution, "Updated", "set")
        same(outcome.policy_token_hash, hashlib.sha256(plain.to_jwt_string().encode()).digest(), "hash of what was set")
        check(outcome.policy_signer is None, "an unsigned policy has a signer")
        same(token.expires.timestamp() - token.issued.timestamp(), 3600, "life of the answer")
        got, token = admin.get_policy(kind)
        same(got, PERMIT, "policy that was set")
        same(stored(token), plain.to_jwt_string(), "policy as it was sent")
        key = stage.signer("signer")
        signed = AttestationPolicyToken(ISSUE, **key)
        outcome, _ = admin.set_policy(kind, ISSUE, **key)
        same(outcome.policy_resolution, "Updated", "signed set")
        same(outcome.policy_token_hash, hashlib.sha256(signed.to_jwt_string().encode()).digest(), "hash of what was signed")
        same(outcome.policy_signer.certificates, [stage.pem("signer")], "signer of what was set")
        got, token = admin.get_policy(kind)
        same((got, stored(token)), (ISSUE, signed.to_jwt_string()), "signed policy")
        same((signed.algorithm, list(signed._header)), ("RSA256", ["alg", "jwk"]), "head of what this client signs")
        # What was set counts for the next call.
        same(issued(kind), ("blue", stage.x5c("signer")), "claims under a signed policy")
        # With today's cryptography this client fails before it sends anything signed with EC: its form is made by hand.
        curved = by_curve(stage, ISSUE)
        answer = AttestationToken(token=admin._client.policy.set(attestation_type=kind, new_attestation_policy=curved).token)
        same(json.loads(answer.body_bytes)["x-ms-policy-signer"]["x5c"], stage.x5c("curve"), "signer with EC")
        same(stored(admin.get_policy(kind)[1]), curved, "policy signed with EC")
        same(issued(kind), ("blue", stage.x5c("curve")), "claims under a policy signed with EC")
        outcome, _ = admin.reset_policy(kind)
        same((outcome.policy_resolution, outcome.policy_token_hash), ("Removed", None), "reset")
        same(admin.get_policy(kind)[0], default, "default policy again")
        same(admin.reset_policy(kind, **stage.signer("signer"))[0].policy_resolution, "Removed", "signed reset of nothing")
        print(f"managed  policies of {kind.value}: default, unsigned, signed RSA and EC, reset")
    same(admin.get_policy("sgxenclave")[0], admin.get_policy(AttestationType.SGX_ENCLAVE)[0], "type in another case")
    same(admin.get_policy(AttestationType.TPM)[0], "", "policy of a type that has none")


def by_curve(stage, policy):
    """A policy signed as this client means to: `ECDH256`, and the signature in DER."""
    b64 = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    head = json.dumps({"alg": "ECDH256", "jwk": {"x5c": stage.x5c("curve")}})
    signed = f'{b64(head.encode())}.{b64(json.dumps({"AttestationPolicy": b64(policy.encode())}).encode())}'
    key = serialization.load_pem_private_key(stage.read("curve.key"), None)
    return f"{signed}.{b64(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))}"


def denied(stage, admin, client):
    attest = lambda: client.attest_sgx_enclave(stage.quote, runtime_data=stage.held)
    for what, policy, words in [
        ("a policy that denies", DENY, "A Deny claim was issued"),
        ("a policy that does not permit", "version=1.0; authorizationrules{}; issuancerules{};", "A Permit claim was not issued"),
    ]:
        admin.set_policy(AttestationType.SGX_ENCLAVE, policy)
        refused(what, attest, 400, "PolicyEvaluationError", words)
        refused(f"{what}, as a draft", lambda: client.attest_open_enclave(stage.report, draft_policy=policy), 400, "PolicyEvaluationError", words)
    broken = "version=1.0; authorizationrules{=> permit() }; issuancerules{};"
    setting = lambda: admin.set_policy(AttestationType.SGX_ENCLAVE, broken)
    refused("a policy that does not parse", setting, 400, "PolicyParsingError", "")
    drafting = lambda: client.attest_sgx_enclave(stage.quote, draft_policy=broken)
    refused("a draft that does not parse", drafting, 400, "PolicyParsingError", "")
    admin.reset_policy(AttestationType.SGX_ENCLAVE)
    attest()


def evidence(stage, client):
    flipped = bytearray(stage.quote)
    flipped[100] ^= 1
    for what, call in [
        ("a quote that was changed", lambda: client.attest_sgx_enclave(bytes(flipped))),
        ("half a quote", lambda: client.attest_sgx_enclave(stage.quote[:600])),
        ("another enclave's data", lambda: client.attest_sgx_enclave(stage.quote, runtime_data=stage.held + b" ")),
        ("a report where a quote is wanted", lambda: client.attest_sgx_enclave(stage.report)),
        ("a quote where a report is wanted", lambda: client.attest_open_enclave(stage.quote)),
        ("JSON that is no object", lambda: client.attest_sgx_enclave(stage.quote, runtime_json=b"[1]")),
    ]:
        refused(what, call, 400, "InvalidParameter", "")


def callers(stage):
    """Roles: who has none, or has one elsewhere, is a stranger."""
    kind = AttestationType.SGX_ENCLAVE
    outsider = stage.admin(stage.url, "outsider")
    reader = stage.admin(stage.url, "reader")
    with_word = lambda url, token: AttestationAdministrationClient(url, Credential(token), **stage.options(url))
    elsewhere = with_word(stage.url, stage.read("iso-manager.token").decode())
    nobody = with_word(stage.url, "test-token")
    strangers = [("a caller without the role", outsider), ("a manager of another provider", elsewhere), ("a made-up token", nobody)]
    for what, caller in strangers:
        for name, call in [
            ("read", lambda: caller.get_policy(kind)),
            ("set", lambda: caller.set_policy(kind, PERMIT)),
            ("reset", lambda: caller.reset_policy(kind)),
            ("list", lambda: caller.get_policy_management_certificates()),
        ]:
            refused(f"{what}: {name}", call, 401, "Unauthorized", "requires a valid JWT bearer token", ClientAuthenticationError)
    reader.get_policy(kind)
    reader.get_policy_management_certificates()
    refused("a reader: set", lambda: reader.set_policy(kind, PERMIT), 401, "Unauthorized", "/policies/SgxEnclave", ClientAuthenticationError)
    # Enclaves attest without any role: what a client sends is not looked at.
    stage.client(stage.url, "outsider").attest_sgx_enclave(stage.quote, runtime_data=stage.held)
    client = AttestationClient(stage.url, Credential("test-token"), **stage.options(stage.url))
    client.attest_open_enclave(stage.report, runtime_json=stage.held)
    same(client._client._config.credential.scopes, {"https://attest.azure.net/.default"}, "scope")
    tpm = json.dumps({"payload": {"type": "aikcert"}})
    refused("a tpm, from a stranger", lambda: client.attest_tpm(tpm), 401, "Unauthorized", "/attest/Tpm", ClientAuthenticationError)
    known = stage.client(stage.url, "reader")
    refused("a tpm, without a policy for it", lambda: known.attest_tpm(tpm), 400, "Bad request", "policy has not been set")
    elsewhere = AttestationClient(stage.url + "/nowhere", Credential("x"), **stage.options(stage.url))
    try:
        elsewhere.attest_sgx_enclave(stage.quote)
        check(False, "there is nothing at this prefix")
    except ResourceNotFoundError as error:
        print(f"refused  a prefix of nobody: {error.status_code}")


def tpm(stage, admin):
    """A machine with a TPM, in two rounds."""
    client = stage.client(stage.url, "reader")
    admin.set_policy(AttestationType.TPM, TPM)

    def challenged():
        reply = json.loads(client.attest_tpm(json.dumps({"payload": {"type": "aikcert"}})))
        return reply["payload"]["challenge"], reply["payload"]["service_context"]

    def machine(*words):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tpm_machine.py")
        run = subprocess.run([sys.executable, script, words[0], stage.folder, *words[1:]], check=True, capture_output=True)
        return run.stdout.decode().strip()

    asking = lambda request: client.attest_tpm(json.dumps({"payload": {"request": request}}))
    challenge, context = challenged()
    request = machine("request", challenge, context)
    report = json.loads(asking(request))["payload"]["report"]
    token = AttestationToken(token=report)
    token._validate_token(client.get_signing_certificates(), validate_token=True, validate_issuer=True, issuer=stage.url)
    body = json.loads(token.body_bytes)
    same(body["secureBoot"], True, "claim of the policy")
    same((body["rp_data"], body["nonce"]), ("cmVseWluZyBwYXJ0eSdzIG93bg",) * 2, "data of the relying party")
    same(body["exp"] - body["iat"], 600, "life of the report")
    same(body["x-ms-tpm-request-key"]["jwk"], body["cnf"]["jwk"], "key of the request")
    print("attested a machine with a TPM")
    refused("a tpm: a challenge that was used", lambda: asking(request), 400, "InvalidParameter", "")
    challenge, _ = challenged()
    refused("a tpm: another context", lambda: asking(machine("request", challenge, context)), 400, "InvalidParameter", "")
    # What the quote covers is in the middle of a signed text: any other text is not the key's.
    challenge, context = challenged()
    signed = machine("request", challenge, context)
    changed = signed[:-8] + ("AAAAAAAA" if signed[-8:] != "AAAAAAAA" else "BAAAAAAA")
    refused("a tpm: another signature", lambda: asking(changed), 400, "InvalidParameter", "")
    admin.reset_policy(AttestationType.TPM)
    refused("a tpm, without a policy again", lambda: asking(signed), 400, "Bad request", "policy has not been set")


def isolated(stage, admin):
    """Policies and certificates where a role is not enough."""
    kind = AttestationType.SGX_ENCLAVE
    listed = lambda: sorted(chain[0] for chain in admin.get_policy_management_certificates()[0])
    pem = lambda name: stage.read(f"{name}.pem").decode()
    thumbprint = lambda name: hashlib.sha1(stage.der(name)).hexdigest().upper()
    same(listed(), sorted([stage.pem("signer"), stage.pem("other")]), "signers in the beginning")

    words = "registered policy signer"
    refused("isolated: set, unsigned", lambda: admin.set_policy(kind, PERMIT), 400, "InvalidOperation", words)
    refused("isolated: reset, unsigned", lambda: admin.reset_policy(kind), 400, "InvalidOperation", words)
    stranger, signer, other = (stage.signer(name) for name in ["stranger", "signer", "other"])
    refused("isolated: set, signed by a stranger", lambda: admin.set_policy(kind, PERMIT, **stranger), 400, "InvalidOperation", words)
    refused("isolated: reset, signed by a stranger", lambda: admin.reset_policy(kind, **stranger), 400, "InvalidOperation", words)
    add, remove = admin.add_policy_management_certificate, admin.remove_policy_management_certificate
    refused("isolated: add, signed by a stranger", lambda: add(pem("stranger"), **stranger), 400, "InvalidOperation", words)
    refused("isolated: remove, signed by a stranger", lambda: remove(pem("other"), **stranger), 400, "InvalidOperation", words)

    outcome, _ = admin.set_policy(kind, PERMIT, **signer)
    same((outcome.policy_resolution, outcome.policy_signer.certificates), ("Updated", [stage.pem("signer")]), "signed set")
    same(admin.get_policy(kind)[0], PERMIT, "policy of the isolated provider")
    same(admin.reset_policy(kind, **other)[0].policy_resolution, "Removed", "signed reset")

    for name, call, certificate, key, wanted, after in [
        ("add again", add, "signer", signer, "IsPresent", ["signer", "other"]),
        ("add", add, "stranger", signer, "IsPresent", ["signer", "other", "stranger"]),
        ("set by the new one", None, "stranger", stranger, None, None),
        ("remove by the new one", remove, "other", stranger, "IsAbsent", ["signer", "stranger"]),
        ("remove again", remove, "other", signer, "IsAbsent", ["signer", "stranger"]),
        ("add back", add, "other", signer, "IsPresent", ["signer", "stranger", "other"]),
        ("remove the new one", remove, "stranger", signer, "IsAbsent", ["signer", "other"]),
    ]:
        if call is None:
            same(admin.set_policy(kind, PERMIT, **key)[0].policy_resolution, "Updated", name)
            admin.reset_policy(kind, **key)
            continue
        outcome, _ = call(pem(certificate), **key)
        same((outcome.certificate_resolution, outcome.certificate_thumbprint), (wanted, thumbprint(certificate)), name)
        same(listed(), sorted(stage.pem(name) for name in after), f"signers after: {name}")
    print("managed  signers of the isolated provider: list, add, remove")

    # The last lines of the acceptance script: a signer takes itself away, and the last one stays.
    outcome, _ = remove(pem("signer"), **signer)
    same((outcome.certificate_resolution, listed()), ("IsAbsent", [stage.pem("other")]), "remove itself")
    refused("isolated: set, by a signer of the past", lambda: admin.set_policy(kind, PERMIT, **signer), 400, "InvalidOperation", words)
    refused("isolated: remove the last one", lambda: remove(pem("other"), **other), 400, "InvalidOperation", "last")
    same(listed(), [stage.pem("other")], "the last signer")


def open_to_roles(stage, admin):
    same(admin.get_policy_management_certificates()[0], [], "signers of a provider that is open to roles")
    pem, key = stage.read("signer.pem").decode(), stage.signer("signer")
    for name in ["add", "remove"]:
        call = getattr(admin, f"{name}_policy_management_certificate")
        refused(f"open to roles: {name} a certificate", lambda: call(pem, **key), 400, "InvalidOperation", "")


def run(description):
    stage = Stage(description)
    client = attest(stage, stage.url, "reader")
    strange = attest(stage, stage.iso, "reader")
    init_data(stage, client)
    kids = [{signer.key_id for signer in metadata(stage, url, c)} for url, c in [(stage.url, client), (stage.iso, strange)]]
    check(not kids[0] & kids[1], "two providers sign with one key")
    clocks(stage, client)
    foreign(stage, client, strange)
    admin = stage.admin(stage.url, "manager")
    policies(stage, admin, client)
    denied(stage, admin, client)
    evidence(stage, client)
    callers(stage)
    if stage.tpm:
        tpm(stage, admin)
    open_to_roles(stage, admin)
    isolated(stage, stage.admin(stage.iso, "manager"))
    print("all as expected")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print(__doc__)
        sys.exit(2)
    run(sys.argv[1])
