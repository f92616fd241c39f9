"""The flows of `azure_key_vault.py` that need evidence: attested use, an envelope of storage's client, releases and their opening."""

import base64
import hashlib
import io
import json
import os
import time

import requests
import urllib3
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.keyvault.keys import JsonWebKey, KeyClient
from azure.storage.blob import BlobClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from key_vault_parts import DENIED, NO_EVIDENCE, NONCE, NOT_MET, NOT_THERE, OTHER, UNFIT, UNKNOWN
from key_vault_parts import Attested, Credential, Workload, check, done, raw, refused, same, text

ENCS = {
    None: hashes.SHA1(),
    "CKM_RSA_AES_KEY_WRAP": hashes.SHA1(),
    "RSA_AES_KEY_WRAP_256": hashes.SHA256(),
    "RSA_AES_KEY_WRAP_384": hashes.SHA384(),
}


def unwrap(stage):
    """A key with a rule: wrapped by anybody, unwrapped upon evidence that is made for this very call."""
    officer, workload = stage.keys("officer"), Workload(stage)
    key = officer.create_rsa_key("kek", hardware_protected=True, exportable=True, release_policy=stage.policy()[1])
    inner = os.urandom(32)
    wrapped = stage.crypto(key, "user").wrap_key("RSA-OAEP-256", inner).encrypted_key
    with_role = lambda: stage.crypto(key, "user").unwrap_key("RSA-OAEP-256", wrapped)  # noqa: E731

    attested, transport = stage.counted(key, workload.credential())
    call = lambda: attested.unwrap_key("RSA-OAEP-256", wrapped)  # noqa: E731
    inner_error = refused("an unwrap, before the option says so", call, DENIED, "`clear`")
    same(inner_error["option"], "clear", "the option is named")
    refused("the same with a role", with_role, DENIED)
    stage.set_option("kek", clear="token")
    transport.taken()
    same(call().key, inner, "what is unwrapped")
    version = key.properties.version
    path = f"/keys/kek/{version}/unwrapkey"
    same(transport.taken(), [("POST", path, 401), ("POST", path, 200)], "one round trip more")
    done("attested unwrap through a TokenCredential, one round trip more")

    # What was asked for stands in one token; it is good once, for one ciphertext.
    kept = []
    keeping = Attested(lambda nonce: kept.append(workload.token(nonce)) or kept[-1])
    same(stage.counted(key, keeping)[0].unwrap_key("RSA-OAEP-256", wrapped).key, inner, "unwrapped once more")
    stolen, _ = stage.counted(key, Credential(kept[-1]))
    other = stage.crypto(key, "user").wrap_key("RSA-OAEP-256", os.urandom(32)).encrypted_key
    for what, text_ in [("another ciphertext", other), ("the same ciphertext again", wrapped)]:
        call = lambda text_=text_: stolen.unwrap_key("RSA-OAEP-256", text_)  # noqa: E731
        refused(f"a token with its nonce, for {what}", call, NONCE)
    unasked = Attested(lambda nonce: nonces.append(nonce) or workload.token())
    nonces = []
    call = lambda: stage.counted(key, unasked)[0].unwrap_key("RSA-OAEP-256", other)  # noqa: E731
    refused("a token without the nonce", call, NONCE)
    check(nonces[-1], "no nonce was asked for")
    refused("a role in the place of evidence", with_role, DENIED)

    def by(attest):
        return lambda: stage.counted(key, Attested(attest))[0].unwrap_key("RSA-OAEP-256", wrapped)

    refused("a workload of another measurement", by(Workload(stage, OTHER).token), DENIED)
    debugged = lambda nonce: workload.token(nonce, **{"x-ms-sevsnpvm-is-debuggable": True})  # noqa: E731
    refused("a workload that may be looked into", by(debugged), DENIED)
    forged = lambda nonce: workload.token(nonce, signer="stranger")  # noqa: E731
    refused("a token by a key that is not the verifier's", by(forged), UNKNOWN)
    old = int(time.time()) - 30000
    stale = lambda nonce: workload.token(nonce, iat=old, nbf=old, exp=old + 28800)  # noqa: E731
    refused("a token that has ended", by(stale), UNKNOWN)

    # By its id alone: the client may not read the key, and lets the vault wrap and verify too.
    remote = stage.crypto(key.id, workload.credential())
    wrapped_there = remote.wrap_key("RSA-OAEP-256", inner).encrypted_key
    same(remote.unwrap_key("RSA-OAEP-256", wrapped_there).key, inner, "wrapped and unwrapped by the vault")
    digest = hashlib.sha256(b"attested").digest()
    signature = remote.sign("PS256", digest).signature
    check(remote.verify("PS256", digest, signature).is_valid, "the vault says no")
    check(not remote.verify("PS256", bytes(32), signature).is_valid, "the vault says yes to anything")
    # What was wrapped before a rotation opens by the id that stands beside it.
    officer.rotate_key("kek")
    same(stage.crypto(key, workload.credential()).unwrap_key("RSA-OAEP-256", wrapped).key, inner, "by an older version")
    done("attested wrap, unwrap, sign and verify by id alone; an older version still opens")
    return key, workload


class Wrapper:
    """The object that storage's clients take for a key encryption key."""

    def __init__(self, key, sealing, opening):
        self.key, self.sealing, self.opening = key, sealing, opening

    def get_kid(self):
        return self.key.id

    def get_key_wrap_algorithm(self):
        return "RSA-OAEP-256"

    def wrap_key(self, key):
        return self.sealing.wrap_key(self.get_key_wrap_algorithm(), key).encrypted_key

    def unwrap_key(self, key, algorithm):
        return self.opening.unwrap_key(algorithm, key).key


class OneBlob(requests.adapters.HTTPAdapter):
    """A storage account in memory, as far as one blob is written and read whole."""

    held, body = {}, b""

    def send(self, request, **_):
        if request.method == "PUT":
            body = request.body if isinstance(request.body, bytes) else request.body.read()
            self.body, self.held = body, {n: v for n, v in request.headers.items() if n.lower().startswith("x-ms-meta-")}
            status, body = 201, b""
        else:
            status, body = 200, b"" if request.method == "HEAD" else self.body
        told = {"ETag": '"1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "x-ms-blob-type": "BlockBlob"}
        told |= self.held | {"Content-Length": str(len(self.body if request.method == "HEAD" else body))}
        if request.method == "GET":
            status, told["Content-Range"] = 206, f"bytes 0-{len(body) - 1}/{len(body)}"
        answer = urllib3.HTTPResponse(io.BytesIO(body), told, status, preload_content=False, request_method=request.method)
        return self.build_response(request, answer)


def envelope(stage, key, workload):
    """Storage's client encrypts a blob under a key of the vault, and opens it where the workload is what the rule says."""
    session = requests.Session()
    session.mount("https://", OneBlob())
    plain = os.urandom(100_000)

    def blob(workload):
        wrapper = Wrapper(key, stage.crypto(key, "user"), stage.crypto(key, workload.credential()))
        options = {"key_encryption_key": wrapper, "require_encryption": True, "encryption_version": "2.0"}
        transport = RequestsTransport(session=session, session_owner=False)
        return BlobClient("https://account.blob.example", "box", "blob", transport=transport, retry_total=0, **options)

    blob(workload).upload_blob(plain, overwrite=True)
    store = session.get_adapter("https://")
    envelope = json.loads(store.held["x-ms-meta-encryptiondata"])["WrappedContentKey"]
    same((envelope["KeyId"], envelope["Algorithm"]), (key.id, "RSA-OAEP-256"), "the envelope names key and algorithm")
    check(plain[:64] not in store.body, "the blob is not encrypted")
    same(blob(workload).download_blob().readall(), plain, "the blob")
    try:
        blob(Workload(stage, OTHER)).download_blob().readall()
    except HttpResponseError as error:
        check("Decryption failed" in str(error), f"another workload: {error}")
        print("refused  the blob to a workload of another measurement")
    else:
        check(False, "another workload read the blob")
    done("storage's envelope: wrapped here, unwrapped upon evidence")


def opened(stage, workload, answer, name, enc, nonce):
    """What a release answer holds, checked and opened by cryptography alone. The order is that of a careful client."""
    head, payload, signature = answer.split(".")
    signed, head, payload = f"{head}.{payload}".encode(), json.loads(raw(head)), json.loads(raw(payload))
    chain = [x509.load_der_x509_certificate(base64.b64decode(der)) for der in head["x5c"]]
    with open(stage.ca, "rb") as file:
        ca = x509.load_pem_x509_certificate(file.read())
    same((head["alg"], chain[-1]), ("RS256", ca), "signed under the CA")
    for child, parent in zip(chain, chain[1:]):
        child.verify_directly_issued_by(parent)
    names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    check(stage.host in names.get_values_for_type(x509.DNSName), "the signer is another host")
    thumbprint = text(hashlib.sha256(chain[0].public_bytes(serialization.Encoding.DER)).digest())
    same((head["kid"], head["x5t#S256"]), (thumbprint, thumbprint), "thumbprint")
    chain[0].public_key().verify(raw(signature), signed, padding.PKCS1v15(), hashes.SHA256())

    asked, bundle = payload["request"], payload["response"]["key"]
    default = enc or "CKM_RSA_AES_KEY_WRAP"
    same((asked["kid"], asked["enc"], asked.get("nonce")), (f"{stage.vault}/keys/{name}", default, nonce), "what was asked")
    same(json.loads(raw(bundle["release_policy"]["data"])), stage.policy()[0], "the policy that it was released under")
    check(bundle["attributes"]["enabled"] and bundle["attributes"]["exportable"], "attributes")
    sealed = json.loads(raw(bundle["key"]["key_hsm"]))
    same(sealed["header"], {"kid": "workload-1", "alg": "dir", "enc": default}, "the head of the sealed key")
    sealed = raw(sealed["ciphertext"])
    oaep = padding.OAEP(padding.MGF1(ENCS[enc]), ENCS[enc], None)
    outer = workload.key.decrypt(sealed[:256], oaep)
    same(len(outer), 32, "an ephemeral key of 256 bits")
    return keywrap.aes_key_unwrap_with_padding(outer, sealed[256:])


def release(stage):
    """Keys of every kind are brought, and leave sealed to the key in the evidence, in each form."""
    officer, user, workload = stage.keys("officer"), stage.keys("user"), Workload(stage)
    own_rsa, own_ec = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
    secret = os.urandom(32)
    numbers, point = own_rsa.private_numbers(), own_ec.private_numbers()
    as_bytes = lambda value: value.to_bytes((value.bit_length() + 7) // 8, "big")  # noqa: E731
    brought = {
        "rsa": JsonWebKey(
            kty="RSA-HSM",
            n=as_bytes(numbers.public_numbers.n),
            e=b"\1\0\1",
            d=as_bytes(numbers.d),
            p=as_bytes(numbers.p),
            q=as_bytes(numbers.q),
            dp=as_bytes(numbers.dmp1),
            dq=as_bytes(numbers.dmq1),
            qi=as_bytes(numbers.iqmp),
        ),
        "ec": JsonWebKey(
            kty="EC-HSM",
            crv="P-256",
            d=point.private_value.to_bytes(32, "big"),
            x=point.public_numbers.x.to_bytes(32, "big"),
            y=point.public_numbers.y.to_bytes(32, "big"),
        ),
        "oct": JsonWebKey(kty="oct-HSM", k=secret),
    }
    for kind, jwk in brought.items():
        name = f"release-{kind}"
        key = officer.import_key(name, jwk, hardware_protected=True, exportable=True, release_policy=stage.policy()[1])
        same(key.properties.exportable, True, "exportable")
        for at, enc in enumerate(ENCS):
            nonce = f"n-{at}" if at else None
            answer = user.release_key(name, workload.token(), algorithm=enc, nonce=nonce).value
            plain = opened(stage, workload, answer, name, enc, nonce)
            if kind == "oct":
                same(plain, secret, f"{name} {enc}")
            else:
                whole = serialization.load_der_private_key(plain, None).private_numbers()
                same(whole, numbers if kind == "rsa" else point, f"{name} {enc}")
        answer = user.release_key(name, workload.token(), version=key.properties.version).value
        named = json.loads(raw(answer.split(".")[1]))["request"]["kid"]
        same(named, key.id, "the version that was asked for")
    done("import and release of RSA, EC and AES keys in each form; what is opened is what was brought")

    call = lambda target, name="release-oct", who="user": lambda: stage.keys(who).release_key(name, target)  # noqa: E731
    denied = refused("a release to another measurement", call(Workload(stage, OTHER).token()), NOT_MET)
    check(denied["keygate"] and denied["failed"], f"a caller with a role is told why: {denied}")
    debugged = workload.token(**{"x-ms-sevsnpvm-is-debuggable": True})
    refused("a release to one that may be looked into", call(debugged), NOT_MET)
    refused("a token by another key", call(workload.token(signer="stranger")), NO_EVIDENCE)
    refused("a token of another issuer", call(workload.token(iss="https://other.example")), NO_EVIDENCE)
    refused("a token without a key", call(workload.token(**{"x-ms-runtime": {}})), NO_EVIDENCE)
    refused("a target that is no token", call("none"), NO_EVIDENCE)
    refused("a release of what is not exportable", call(workload.token(), "signer"), DENIED)
    refused("a release of no key", call(workload.token(), "nobody"), NOT_THERE)
    by_evidence = KeyClient(stage.vault, workload.credential(), connection_verify=stage.ca)
    check(by_evidence.release_key("release-oct", workload.token()).value, "evidence alone, as bearer and target")
    for version in ["7.3", "7.4", "7.5", "7.6"]:
        older = KeyClient(stage.vault, stage.bearer("user"), connection_verify=stage.ca, api_version=version)
        answer = older.release_key("release-oct", workload.token()).value
        same(json.loads(raw(answer.split(".")[1]))["request"]["api-version"], version, "the version that was asked under")
    for version in ["2016-10-01", "7.0", "7.1", "7.2"]:
        older = KeyClient(stage.vault, stage.bearer("officer"), connection_verify=stage.ca, api_version=version)
        same(older.get_key("release-oct").name, "release-oct", f"api-version {version}")
    done("a release by evidence alone, and under older versions")


def transfer(stage):
    """A key that leaves the owner sealed to a key of the vault's, and the vault sealed to a workload's."""
    officer, workload, brought = stage.keys("officer"), Workload(stage), rsa.generate_private_key(65537, 2048)
    exchange = officer.create_rsa_key("exchange", size=2048, hardware_protected=True, key_operations=["import"])
    same(exchange.key_operations, ["import"], "a key for exchange alone")
    public = rsa.RSAPublicNumbers(int.from_bytes(exchange.key.e, "big"), int.from_bytes(exchange.key.n, "big")).public_key()
    kinds = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    outer = os.urandom(32)
    sealed = public.encrypt(outer, padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None))
    sealed += keywrap.aes_key_wrap_with_padding(outer, brought.private_bytes(*kinds))

    def bring(sealed, kek=exchange.id):
        head = {"kid": kek, "alg": "dir", "enc": "CKM_RSA_AES_KEY_WRAP"}
        blob = {"schema_version": "1.0.0", "header": head, "ciphertext": text(sealed), "generator": "an owner's own tool"}
        jwk = JsonWebKey(kty="RSA-HSM", t=json.dumps(blob).encode())
        policy = {"hardware_protected": True, "exportable": True, "release_policy": stage.policy()[1]}
        return officer.import_key("brought-sealed", jwk, **policy)

    refused("a sealed key that was changed", lambda: bring(sealed[:-1] + bytes([sealed[-1] ^ 1])), UNFIT)
    refused("a key sealed to one that is not for exchange", lambda: bring(sealed, officer.get_key("managed").id), UNFIT)
    key = bring(sealed)
    same(int.from_bytes(key.key.n, "big"), brought.public_key().public_numbers().n, "the key that was brought")
    answer = stage.keys("user").release_key("brought-sealed", workload.token()).value
    plain = serialization.load_der_private_key(opened(stage, workload, answer, "brought-sealed", None, None), None)
    same(plain.private_numbers(), brought.private_numbers(), "what left is what was brought")
    done("a key brought sealed to an exchange key")
