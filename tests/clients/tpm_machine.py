"""A machine with a software TPM, and the requests that it sends to Azure Attestation.

    tpm_machine.py start FOLDER                        makes the TPM, its attestation key and a log; FOLDER has tpm-root.key and .pem
    tpm_machine.py request FOLDER CHALLENGE CONTEXT    prints a request (attReqV2) that answers them, both in base64url
    tpm_machine.py stop FOLDER

The quote is the TPM's own; the payload is written from the description of the protocol. Needs swtpm, tpm2-tools and cryptography.
"""

import base64
import datetime
import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID, ObjectIdentifier

SHA256 = 0x000B
GLOBAL = bytes.fromhex("61dfe48bca93d211aa0d00e098032b8c")
SEPARATOR, CRTM_VERSION, DRIVER_CONFIG, NO_ACTION = 4, 8, 0x80000001, 3
ALL = ",".join(map(str, range(24)))


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def variable(name, value):
    wide = name.encode("utf-16-le")
    return GLOBAL + struct.pack("<QQ", len(name), len(value)) + wide + value


# Register, type, what is measured.
EVENTS = [(0, CRTM_VERSION, b"a firmware\0"), (7, DRIVER_CONFIG, variable("SecureBoot", b"\1"))]
EVENTS += [(register, SEPARATOR, bytes(4)) for register in range(8)]


def log():
    header = b"Spec ID Event03\0" + bytes([0, 0, 0, 0, 0, 2, 0, 2]) + struct.pack("<IHHB", 1, SHA256, 32, 0)
    out = struct.pack("<II", 0, NO_ACTION) + bytes(20) + struct.pack("<I", len(header)) + header
    for register, kind, data in EVENTS:
        out += struct.pack("<IIIH", register, kind, 1, SHA256) + hashlib.sha256(data).digest()
        out += struct.pack("<I", len(data)) + data
    return out


def jwk(key):
    numbers = key.public_numbers()
    number = lambda n: b64(n.to_bytes((n.bit_length() + 7) // 8, "big"))
    return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}


class Machine:
    def __init__(self, folder):
        self.folder = folder
        self.path = lambda name: os.path.join(folder, name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)

    def tool(self, *words):
        with open(self.path("tpm.port")) as file:
            tcti = f"swtpm:host=127.0.0.1,port={file.read()}"
        run = lambda *words: subprocess.run(words, cwd=self.folder, env={**os.environ, "TPM2TOOLS_TCTI": tcti}, check=True, stdout=subprocess.DEVNULL)
        # There is no resource manager, and room for three objects.
        run("tpm2_flushcontext", "-t")
        run(*words)

    def start(self):
        state = self.path("tpm-state")
        os.makedirs(state, exist_ok=True)
        subprocess.run(["swtpm_setup", "--tpm2", "--tpmstate", state, "--pcr-banks", "sha256", "--overwrite"], check=True, stdout=subprocess.DEVNULL)
        port = self.free_ports()
        self.write("tpm.port", str(port).encode())
        words = ["--tpmstate", f"dir={state}", "--server", f"type=tcp,port={port},bindaddr=127.0.0.1"]
        words += ["--ctrl", f"type=tcp,port={port + 1},bindaddr=127.0.0.1", "--flags", "not-need-init,startup-clear"]
        subprocess.run(["swtpm", "socket", "--tpm2", *words, "--daemon", "--pid", f"file={self.path('tpm.pid')}"], check=True)
        time.sleep(1)
        self.tool("tpm2_createek", "-c", "ek.ctx", "-G", "rsa", "-u", "ek.pub")
        self.tool("tpm2_createak", "-C", "ek.ctx", "-c", "ak.ctx", "-G", "rsa", "-g", "sha256", "-s", "rsassa", "-u", "ak.pem", "-f", "pem")
        for register, _, data in EVENTS:
            self.tool("tpm2_pcrextend", f"{register}:sha256={hashlib.sha256(data).hexdigest()}")
        self.certify()

    @staticmethod
    def free_ports():
        """A port whose successor is free too: the tools want the control port there."""
        for port in range(20000 + os.getpid() % 20000, 60000, 2):
            try:
                for one in [port, port + 1]:
                    with socket.socket() as probe:
                        probe.bind(("127.0.0.1", one))
                return port
            except OSError:
                continue
        raise RuntimeError("no free ports")

    def certify(self):
        """A certificate for the attestation key, under the root that the server trusts."""
        root = x509.load_pem_x509_certificate(self.read("tpm-root.pem"))
        signer = serialization.load_pem_private_key(self.read("tpm-root.key"), None)
        usage = dict.fromkeys(["content_commitment", "key_encipherment", "data_encipherment", "key_agreement"], False)
        usage |= dict.fromkeys(["key_cert_sign", "crl_sign", "encipher_only", "decipher_only"], False)
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an attestation key")]))
            .issuer_name(root.subject)
            .public_key(serialization.load_pem_public_key(self.read("ak.pem")))
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=7))
            .add_extension(x509.BasicConstraints(False, None), True)
            .add_extension(x509.KeyUsage(digital_signature=True, **usage), True)
            .add_extension(x509.ExtendedKeyUsage([ObjectIdentifier("2.23.133.8.3")]), False)
            .sign(signer, hashes.SHA256())
        )
        self.write("ak.der", certificate.public_bytes(serialization.Encoding.DER))

    def request(self, challenge, context):
        key = rsa.generate_private_key(65537, 2048)
        # The quote covers the very text that stands in the payload.
        text = json.dumps(jwk(key.public_key()))
        nonce = hashlib.sha256(text.encode() + b"\0" + challenge).hexdigest()
        self.tool("tpm2_quote", "-c", "ak.ctx", "-l", f"sha256:{ALL}", "-q", nonce, "-g", "sha256", "-m", "quote.msg", "-s", "quote.sig")
        self.tool("tpm2_pcrread", f"sha256:{ALL}", "-o", "pcrs.bin")
        values = self.read("pcrs.bin")
        registers = [{"index": index, "digest": b64(values[32 * index : 32 * index + 32])} for index in range(24)]
        state = {
            "logs": [{"type": "TCG", "log": b64(log())}],
            "aik_cert": b64(self.read("ak.der")),
            "aik_pub": jwk(serialization.load_pem_public_key(self.read("ak.pem"))),
            "pcrs": [{"algorithm": SHA256, "values": registers}],
            "quote": b64(self.read("quote.msg")),
            "signature": b64(self.read("quote.sig")),
        }
        data = {
            "rp_id": "https://relying.example",
            "rp_data": b64(b"relying party's own"),
            "challenge": b64(challenge),
            "service_context": b64(context),
            "tpm_att_data": {"current_attestation": state},
            "request_key": {"jwk": "KEY", "info": {"tpm_quote": {"hash_alg": "sha-256"}}},
        }
        payload = json.dumps({"att_type": "basic", "att_data": data}).replace('"KEY"', text)
        signed = f'{b64(json.dumps({"alg": "PS256", "typ": "attReqV2"}).encode())}.{b64(payload.encode())}'
        scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        return f"{signed}.{b64(key.sign(signed.encode(), scheme, hashes.SHA256()))}"

    def stop(self):
        with open(self.path("tpm.pid")) as file:
            os.kill(int(file.read()), signal.SIGTERM)


def run(word, folder, *rest):
    machine = Machine(folder)
    if word == "start":
        machine.start()
    elif word == "request":
        print(machine.request(*map(unb64, rest)))
    else:
        machine.stop()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        print(__doc__)
        sys.exit(2)
    run(*sys.argv[1:])
