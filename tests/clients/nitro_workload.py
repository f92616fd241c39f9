"""A Nitro workload that knows Keygate only from its documents.

It uses public libraries alone (cryptography, cbor2, requests) and plays an enclave under a root that the operator added:

    nitro_workload.py root DIR                 make a throw-away Nitro root and keep its key in DIR
    nitro_workload.py run DIR URL HOST CA      talk to a running server as a workload

Every step prints one line. The first thing that is not as documented ends the program with exit code 1.
"""

import base64
import datetime
import hashlib
import json
import os
import struct
import sys

import cbor2
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_unwrap_with_padding
from cryptography.x509.oid import NameOID

PCRS = {index: bytes([0xA0 + index]) * 48 for index in range(5)}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def lp(data):
    return struct.pack(">I", len(data)) + data


def number(value, size=None):
    return value.to_bytes(size or (value.bit_length() + 7) // 8, "big")


def canonical(value):
    """RFC 8785 for what these documents hold: text, integers, lists, objects."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


# --- the enclave's hardware -------------------------------------------------------------------------------------------


def certify(subject, key, issuer, issuer_key, now, life, path_length):
    name = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
    ca = path_length is not None
    usage = dict.fromkeys(
        ["content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"], False
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(seconds=60))
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **usage), critical=True)
        .sign(issuer_key, hashes.SHA384())
    )


def make_root(folder):
    os.makedirs(folder, exist_ok=True)
    now = datetime.datetime.now(datetime.timezone.utc)
    key = ec.generate_private_key(ec.SECP384R1())
    certificate = certify("aws.nitro-enclaves", key, "aws.nitro-enclaves", key, now, datetime.timedelta(days=30), 4)
    with open(os.path.join(folder, "root.pem"), "wb") as file:
        file.write(certificate.public_bytes(serialization.Encoding.PEM))
    with open(os.path.join(folder, "root.key"), "wb") as file:
        file.write(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )


class Enclave:
    """Signs attestation documents as the Nitro Security Module does: COSE_Sign1 with ES384."""

    def __init__(self, folder):
        with open(os.path.join(folder, "root.pem"), "rb") as file:
            self.root = x509.load_pem_x509_certificate(file.read())
        with open(os.path.join(folder, "root.key"), "rb") as file:
            root_key = serialization.load_pem_private_key(file.read(), None)
        now = datetime.datetime.now(datetime.timezone.utc)
        day = datetime.timedelta(days=1)
        self.bundle, issuer, issuer_key = [self.root], "aws.nitro-enclaves", root_key
        for depth, subject in [(2, "region.aws.nitro-enclaves"), (1, "zone.aws.nitro-enclaves"), (0, "i-0123.aws.nitro-enclaves")]:
            key = ec.generate_private_key(ec.SECP384R1())
            self.bundle.append(certify(subject, key, issuer, issuer_key, now, day, depth))
            issuer, issuer_key = subject, key
        self.key = ec.generate_private_key(ec.SECP384R1())
        self.leaf = certify("i-0123-enc0123.aws", self.key, issuer, issuer_key, now, datetime.timedelta(hours=3), None)

    def document(self, nonce, public_key, user_data, pcrs=PCRS):
        der = lambda c: c.public_bytes(serialization.Encoding.DER)
        payload = cbor2.dumps(
            {
                "module_id": "i-0123456789abcdef0-enc0123456789abcdef",
                "digest": "SHA384",
                "timestamp": int(datetime.datetime.now().timestamp() * 1000),
                "pcrs": pcrs,
                "certificate": der(self.leaf),
                "cabundle": [der(c) for c in self.bundle],
                "public_key": public_key,
                "user_data": user_data,
                "nonce": nonce,
            }
        )
        protected = cbor2.dumps({1: -35})
        signed = cbor2.dumps(["Signature1", protected, b"", payload])
        r, s = utils.decode_dss_signature(self.key.sign(signed, ec.ECDSA(hashes.SHA384())))
        return cbor2.dumps([protected, {}, payload, number(r, 48) + number(s, 48)])


# --- the recipient's key ----------------------------------------------------------------------------------------------


class Recipient:
    def __init__(self, kind):
        if kind == "RSA":
            self.key = rsa.generate_private_key(65537, 2048)
            numbers = self.key.public_key().public_numbers()
            self.jwk = {"kty": "RSA", "n": b64(number(numbers.n)), "e": b64(number(numbers.e))}
            required = {"e": self.jwk["e"], "kty": "RSA", "n": self.jwk["n"]}
        else:
            self.key = ec.generate_private_key(ec.SECP256R1())
            numbers = self.key.public_key().public_numbers()
            self.jwk = {"kty": "EC", "crv": "P-256", "x": b64(number(numbers.x, 32)), "y": b64(number(numbers.y, 32))}
            required = {"crv": "P-256", "kty": "EC", "x": self.jwk["x"], "y": self.jwk["y"]}
        self.input = json.dumps(required, sort_keys=True, separators=(",", ":")).encode()
        self.thumbprint = hashlib.sha256(self.input).digest()
        self.spki = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def unseal(self, wrapped):
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        if wrapped["wrapping"] == "RSA_AES_KEY_WRAP_256":
            ciphertext = unb64(wrapped["ciphertext"])
            return aes_key_unwrap_with_padding(self.key.decrypt(ciphertext[:256], oaep), ciphertext[256:])
        protected, encrypted_key, iv, ciphertext, tag = wrapped["jwe"].split(".")
        header = json.loads(unb64(protected))
        check(header["enc"] == "A256GCM" and header["kid"] == b64(self.thumbprint), f"JWE header {header}")
        if header["alg"] == "RSA-OAEP-256":
            cek = self.key.decrypt(unb64(encrypted_key), oaep)
        else:
            check(header["alg"] == "ECDH-ES+A256KW", f"JWE alg {header['alg']}")
            x, y = (int.from_bytes(unb64(header["epk"][c]), "big") for c in "xy")
            shared = self.key.exchange(ec.ECDH(), ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key())
            other = lp(b"ECDH-ES+A256KW") + lp(unb64(header.get("apu", ""))) + lp(unb64(header.get("apv", "")))
            kek = ConcatKDFHash(hashes.SHA256(), 32, other + struct.pack(">I", 256)).derive(shared)
            cek = aes_key_unwrap(kek, unb64(encrypted_key))
        return AESGCM(cek).decrypt(unb64(iv), unb64(ciphertext) + unb64(tag), protected.encode())


# --- the contract -----------------------------------------------------------------------------------------------------


def check(good, what):
    if not good:
        print(f"NOT AS DOCUMENTED: {what}")
        sys.exit(1)


def digest_of(operation, key="", version="", wrapping="", alg="", data=b"", aad=b""):
    parts = [operation.encode(), key.encode(), version.encode(), wrapping.encode(), alg.encode(), data, aad]
    return hashlib.sha256(b"".join(lp(p) for p in parts)).digest()


class Workload:
    def __init__(self, folder, url, host, ca):
        self.enclave, self.url, self.host, self.ca = Enclave(folder), url, host, ca
        with open(ca, "rb") as file:
            self.anchor = x509.load_pem_x509_certificate(file.read())
        self.session = requests.Session()
        self.session.trust_env = False

    def post(self, path, body, **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
        return self.session.post(self.url + path, data=data, headers=headers, verify=self.ca, timeout=30)

    def challenge(self):
        answer = self.post("/v1/challenges", {})
        check(answer.status_code == 200, f"challenge: {answer.status_code} {answer.text}")
        check(answer.headers["Cache-Control"] == "no-store", "an answer may be cached")
        body = answer.json()
        check(len(unb64(body["challenge"])) == 32 and body["host"] == self.host, f"challenge {body}")
        return body["challenge"]

    def proof(self, recipient, challenge, q, runtime_data=None, **wrong):
        c = wrong.get("nonce", unb64(challenge))
        host = hashlib.sha256(wrong.get("host", self.host).encode()).digest()
        data = hashlib.sha256(runtime_data or b"").digest()
        thumbprint = wrong.get("thumbprint", recipient.thumbprint)
        bind = hashlib.sha512(b"keygate/v1/binding\x00" + c + host + q + thumbprint + data).digest()
        document = self.enclave.document(
            c, wrong.get("spki", recipient.spki), wrong.get("label", b"keygate/v1\x00") + bind, wrong.get("pcrs", PCRS)
        )
        body = {
            "evidence": {"kind": "nitro", "data": b64(document)},
            "challenge": challenge,
            "recipient": recipient.jwk,
        }
        if runtime_data is not None:
            body["runtime_data"] = b64(runtime_data)
        return body

    def receipt(self, answer, operation, q, recipient, challenge=None, request_id=None):
        head, payload, signature = answer["receipt"].split(".")
        header, body = json.loads(unb64(head)), json.loads(unb64(payload))
        check(header["typ"] == "keygate-receipt" and header["alg"] == "ES256", f"receipt header {header}")
        chain = [x509.load_der_x509_certificate(base64.b64decode(c)) for c in header["x5c"]]
        if chain[-1].subject != self.anchor.subject:
            chain.append(self.anchor)
        check(chain[-1].public_bytes(serialization.Encoding.DER) == self.anchor.public_bytes(serialization.Encoding.DER), "CA")
        for below, above in zip(chain, chain[1:]):
            below.verify_directly_issued_by(above)
        raw = unb64(signature)
        der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        chain[0].public_key().verify(der, f"{head}.{payload}".encode(), ec.ECDSA(hashes.SHA256()))
        rest = {k: v for k, v in answer.items() if k != "receipt"}
        check(unb64(body["answer"]) == hashlib.sha256(canonical(rest)).digest(), "the receipt is for another answer")
        check(unb64(body["request"]) == q, "the receipt is for another request")
        check(unb64(body["recipient"]) == recipient.thumbprint, "the receipt is for another recipient")
        check(body["operation"] == operation, f"receipt operation {body['operation']}")
        check(challenge is None or body.get("challenge") == challenge, "the receipt is for another challenge")
        check(request_id is None or body.get("request_id") == request_id, "the receipt is for another request id")
        for member in ["iss", "iat", "entry", "entry_hash", "kid", "rule_digest", "evidence_digest"]:
            check(member in body, f"the receipt lacks `{member}`")
        return body

    def refused(self, what, answer, status, code):
        problem = answer.json()
        check(answer.status_code == status, f"{what}: {answer.status_code} {answer.text}")
        check(answer.headers["Content-Type"].startswith("application/problem+json"), f"{what}: {answer.headers}")
        check(problem["type"].rsplit("/", 1)[-1].split(".")[0] == code, f"{what}: {problem}")
        check(problem["status"] == status and problem["instance"], f"{what}: {problem}")
        print(f"refused  {what:<42} {status} {code}")


def run(folder, url, host, ca):
    w = Workload(folder, url, host, ca)

    for kind, wrapping in [("RSA", ""), ("RSA", "JWE"), ("EC", ""), ("EC", "JWE")]:
        recipient, challenge = Recipient(kind), w.challenge()
        q = digest_of("release", "db-key", wrapping=wrapping)
        body = w.proof(recipient, challenge, q)
        if wrapping:
            body["wrapping"] = wrapping
        answer = w.post("/v1/keys/db-key/release", body)
        check(answer.status_code == 200, f"release: {answer.status_code} {answer.text}")
        w.receipt(answer.json(), "release", q, recipient, challenge)
        secret = recipient.unseal(answer.json()["wrapped"])
        check(len(secret) == 32, "the released key has another length")
        print(f"released db-key to {kind:<3} {answer.json()['wrapped']['wrapping']}, receipt checked")
        w.refused("the same request again", w.post("/v1/keys/db-key/release", body), 410, "freshness-failed")

    # a lost answer is had again with the same idempotency key and the same bytes
    recipient, challenge = Recipient("EC"), w.challenge()
    q = digest_of("release", "db-key")
    body = json.dumps(w.proof(recipient, challenge, q)).encode()
    first = w.post("/v1/keys/db-key/release", body, **{"Idempotency-Key": "lost-1"})
    again = w.post("/v1/keys/db-key/release", body, **{"Idempotency-Key": "lost-1"})
    check(first.status_code == again.status_code == 200, f"again: {again.status_code} {again.text}")
    check(first.json()["wrapped"] == again.json()["wrapped"], "the answer had again is another one")
    w.receipt(again.json(), "release", q, recipient, challenge, "lost-1")
    w.refused("the same id with another body", w.post("/v1/keys/db-key/release", body + b" ", **{"Idempotency-Key": "lost-1"}), 409, "conflict")
    print("a lost answer was had again")

    # one refusal for each thing that the binding covers
    other = Recipient("EC")
    for what, request, wrong in [
        ("another operation", {"operation": "sign"}, {}),
        ("another key", {"key": "other-key"}, {}),
        ("another version", {"version": "0" * 32}, {}),
        ("another wrapping", {"wrapping": "JWE"}, {}),
        ("another algorithm", {"alg": "A256GCM"}, {}),
        ("another input", {"data": b"x"}, {}),
        ("another aad", {"aad": b"x"}, {}),
        ("another host", {}, {"host": "kms.attacker.example"}),
        ("another recipient in the binding", {}, {"thumbprint": other.thumbprint}),
        ("another recipient in the document", {}, {"spki": other.spki}),
        ("another label", {}, {"label": b"keygate/v2\x00"}),
    ]:
        recipient, challenge = Recipient("EC"), w.challenge()
        q = digest_of(**{"operation": "release", "key": "db-key", **request})
        answer = w.post("/v1/keys/db-key/release", w.proof(recipient, challenge, q, **wrong))
        w.refused(what, answer, 400, "binding-mismatch")
    recipient, challenge = Recipient("EC"), w.challenge()
    stale = w.proof(recipient, challenge, digest_of("release", "db-key"), nonce=bytes(32))
    w.refused("another challenge in the document", w.post("/v1/keys/db-key/release", stale), 410, "freshness-failed")
    challenge = w.challenge()
    altered = w.proof(recipient, challenge, digest_of("release", "db-key"), runtime_data=b'{"a":1}')
    altered["runtime_data"] = b64(b'{"a":2}')
    w.refused("another run-time data", w.post("/v1/keys/db-key/release", altered), 400, "binding-mismatch")

    # what concerns the key has one answer
    challenge = w.challenge()
    measured = w.proof(recipient, challenge, digest_of("release", "db-key"), pcrs={**PCRS, 0: bytes([1]) * 48})
    w.refused("another image", w.post("/v1/keys/db-key/release", measured), 403, "not-released")
    challenge = w.challenge()
    absent = w.proof(recipient, challenge, digest_of("release", "no-such-key"))
    w.refused("a key that does not exist", w.post("/v1/keys/no-such-key/release", absent), 403, "not-released")

    # generate, then unwrap: the data key comes back
    recipient, challenge = Recipient("EC"), w.challenge()
    q = digest_of("generate", "wrap-key", alg="A256GCM", data=b"32", aad=b"ctx")
    body = {**w.proof(recipient, challenge, q), "alg": "A256GCM", "bytes": 32, "aad": b64(b"ctx")}
    made = w.post("/v1/keys/wrap-key/generate", body)
    check(made.status_code == 200, f"generate: {made.status_code} {made.text}")
    w.receipt(made.json(), "generate", q, recipient, challenge)
    data_key, ciphertext = recipient.unseal(made.json()["wrapped"]), unb64(made.json()["ciphertext"])
    check(len(data_key) == 32, "the data key has another length")

    def unwrap(ciphertext, aad, **session):
        recipient = session.pop("recipient", None) or Recipient("RSA")
        q = digest_of("unwrap", "wrap-key", alg="A256GCM", data=ciphertext, aad=aad)
        body = {"alg": "A256GCM", "ciphertext": b64(ciphertext), "aad": b64(aad), **session}
        challenge = None
        if not session:
            challenge = w.challenge()
            body.update(w.proof(recipient, challenge, q))
        else:
            body["recipient"] = recipient.jwk
        return recipient, q, challenge, w.post("/v1/keys/wrap-key/unwrap", body)

    recipient, q, challenge, opened = unwrap(ciphertext, b"ctx")
    check(opened.status_code == 200, f"unwrap: {opened.status_code} {opened.text}")
    w.receipt(opened.json(), "unwrap", q, recipient, challenge)
    check(recipient.unseal(opened.json()["wrapped"]) == data_key, "unwrap gave another data key")
    print("generated a data key and unwrapped it")
    w.refused("unwrap with another aad", unwrap(ciphertext, b"cty")[3], 400, "crypto-failed")

    # a session: attest once, use the token many times
    recipient, challenge = Recipient("EC"), w.challenge()
    q = digest_of("attest")
    attested = w.post("/v1/attestations", w.proof(recipient, challenge, q))
    check(attested.status_code == 200, f"attest: {attested.status_code} {attested.text}")
    token = attested.json()["token"]
    check(json.loads(unb64(token.split(".")[0]))["typ"] == "keygate-attestation", "token typ")
    check(attested.json()["claims"]["nitro"]["pcrs"]["0"] == PCRS[0].hex(), "claims of the token")
    for _ in range(2):
        _, q, _, opened = unwrap(ciphertext, b"ctx", token=token, recipient=recipient)
        check(opened.status_code == 200, f"session: {opened.status_code} {opened.text}")
        w.receipt(opened.json(), "unwrap", q, recipient)
        check(recipient.unseal(opened.json()["wrapped"]) == data_key, "the session gave another data key")
    print("a session served two unwraps with one attestation")
    stolen = unwrap(ciphertext, b"ctx", token=token, recipient=Recipient("EC"))[3]
    w.refused("a session with another recipient", stolen, 400, "binding-mismatch")
    once = w.post("/v1/keys/db-key/release", {"token": token, "recipient": recipient.jwk})
    w.refused("a session where the key wants a challenge", once, 403, "not-released")
    print("all as documented")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "root":
        make_root(sys.argv[2])
    elif len(sys.argv) == 6 and sys.argv[1] == "run":
        run(*sys.argv[2:])
    else:
        print(__doc__)
        sys.exit(2)
