"""Opens release answers of a key vault with nothing but `cryptography`: no code of Keygate's, nor of a vault's SDK.

    open_release.py --key PEM --ca PEM --host HOST [--nonce NONCE] [--kid KID] [--recipient KID] FILE...

FILE holds the compact JWS of an answer, or the answer's JSON with the JWS as its `value`. Every answer is one line of JSON on standard
output: `file`, and either `kid`, `kty`, `enc` and the key in hex as `plaintext`, or `refused` with the reason. The exit code is 1 where
one was refused.
"""

import argparse
import base64
import datetime
import ipaddress
import json
import re
import sys

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

HASHES = {
    "CKM_RSA_AES_KEY_WRAP": hashes.SHA1,
    "RSA_AES_KEY_WRAP_256": hashes.SHA256,
    "RSA_AES_KEY_WRAP_384": hashes.SHA384,
}
CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1, "P-256K": ec.SECP256K1}


class Refused(Exception):
    pass


def check(good, what):
    if not good:
        raise Refused(what)


def unpadded(text):
    """Base64url without padding, in its one spelling."""
    check(isinstance(text, str) and re.fullmatch(r"[A-Za-z0-9_-]*", text) and len(text) % 4 != 1, "not base64url")
    found = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    check(base64.urlsafe_b64encode(found).rstrip(b"=").decode() == text, "not canonical base64url")
    return found


def once(pairs):
    names = [name for name, _ in pairs]
    check(len(names) == len(set(names)), "a member twice")
    return dict(pairs)


def read(data):
    return json.loads(data, object_pairs_hook=once)


def names_host(leaf, host):
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    try:
        return ipaddress.ip_address(host) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        below = host.split(".", 1)[1] if "." in host else None
        dns = names.get_values_for_type(x509.DNSName)
        return host in dns or (below is not None and f"*.{below}" in dns)


def leads_to(chain, authority, now):
    """Whether the chain leads to the CA, link by link, each in force."""
    for certificate in chain:
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            return False
        if certificate == authority:
            return True
    for below, above in zip(chain, chain[1:] + [authority]):
        below.verify_directly_issued_by(above)
        if not above.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        if above == authority:
            return True
    return True


def payload_of(jws, authority, host, now):
    parts = jws.split(".")
    check(len(parts) == 3, "not three parts")
    header = read(unpadded(parts[0]))
    check(header["alg"] == "RS256" and "crit" not in header, "not RS256")
    chain = [x509.load_der_x509_certificate(base64.b64decode(der, validate=True)) for der in header["x5c"]]
    try:
        check(leads_to(chain, authority, now), "no chain to the CA")
        chain[0].public_key().verify(
            unpadded(parts[2]), f"{parts[0]}.{parts[1]}".encode(), padding.PKCS1v15(), hashes.SHA256()
        )
    except (InvalidSignature, ValueError, TypeError) as wrong:
        raise Refused(f"a signature is wrong: {wrong}") from wrong
    check(names_host(chain[0], host), "the certificate names another host")
    thumbprint = base64.urlsafe_b64encode(chain[0].fingerprint(hashes.SHA256())).rstrip(b"=").decode()
    check(header.get("x5t#S256", thumbprint) == thumbprint, "the thumbprint is another's")
    return read(unpadded(parts[1]))


def described(key, plaintext):
    """Whether the plaintext is the private key of this JWK."""
    kty = key["kty"].removesuffix("-HSM")
    if kty == "oct":
        return len(plaintext) > 0
    private = serialization.load_der_private_key(plaintext, None)
    number = lambda name: int.from_bytes(unpadded(key[name]), "big")
    numbers = private.public_key().public_numbers()
    if kty == "RSA":
        return isinstance(private, rsa.RSAPrivateKey) and (numbers.n, numbers.e) == (number("n"), number("e"))
    curve = CURVES[key["crv"]]
    return (
        kty == "EC"
        and isinstance(private, ec.EllipticCurvePrivateKey)
        and isinstance(private.curve, curve)
        and (numbers.x, numbers.y) == (number("x"), number("y"))
    )


def opened(text, options, private, authority, now):
    text = text.strip()
    jws = read(text)["value"] if text.startswith("{") else text
    payload = payload_of(jws, authority, options.host, now)
    request, bundle = payload["request"], payload["response"]["key"]
    key = bundle["key"]
    check(request.get("nonce") == options.nonce, "another nonce")
    check(options.kid is None or request["kid"] == options.kid, "another key was asked for")
    check(key["kid"] == request["kid"] or key["kid"].startswith(request["kid"] + "/"), "another key was given")
    check(bundle["attributes"]["enabled"] is True, "the key is not enabled")
    blob = read(unpadded(key["key_hsm"]))
    check(blob["schema_version"] == "1.0" and blob["header"]["alg"] == "dir", "another form")
    check(blob["header"]["enc"] == request["enc"], "two wrappings")
    check(options.recipient is None or blob["header"]["kid"] == options.recipient, "for another recipient")
    ciphertext = unpadded(blob["ciphertext"])
    length, name = private.key_size // 8, HASHES[request["enc"]]
    oaep = padding.OAEP(padding.MGF1(name()), name(), None)
    try:
        aes = private.decrypt(ciphertext[:length], oaep)
        plaintext = keywrap.aes_key_unwrap_with_padding(aes, ciphertext[length:])
    except (ValueError, keywrap.InvalidUnwrap) as wrong:
        raise Refused("it does not open") from wrong
    check(len(aes) == 32, "the AES key has not 256 bits")
    check(described(key, plaintext), "another key than the one described")
    return {"kid": key["kid"], "kty": key["kty"], "enc": request["enc"], "plaintext": plaintext.hex()}


def main():
    parser = argparse.ArgumentParser()
    for name in ["--key", "--ca", "--host"]:
        parser.add_argument(name, required=True)
    for name in ["--nonce", "--kid", "--recipient"]:
        parser.add_argument(name)
    parser.add_argument("--at", type=int, help="unix seconds; now, unless given")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    with open(options.key, "rb") as file:
        private = serialization.load_pem_private_key(file.read(), None)
    with open(options.ca, "rb") as file:
        authority = x509.load_pem_x509_certificate(file.read())
    utc = datetime.timezone.utc
    now = datetime.datetime.now(utc) if options.at is None else datetime.datetime.fromtimestamp(options.at, utc)
    refused = False
    for name in options.files:
        with open(name) as file:
            text = file.read()
        try:
            line = opened(text, options, private, authority, now)
        except (Refused, KeyError, TypeError, ValueError, x509.ExtensionNotFound) as why:
            refused, line = True, {"refused": str(why)}
        print(json.dumps({"file": name, **line}))
    sys.exit(refused)


if __name__ == "__main__":
    main()
