"""Key Vault's own client for Python, as it is published, against a vault whose keys are used and released upon evidence.

    azure_key_vault.py STAGE

STAGE is a JSON file: the `vault` and its `host`, `ca`, the `issuer` of a verifier's tokens, the `folder` with credentials and with the
verifier's key, the program `keygate` and the address `admin` for a rule officer. Every step prints one line. The first thing that is
not as expected ends the program with exit code 1.
"""

import hashlib
import json
import logging
import os
import sys
import time
from datetime import datetime, timedelta, timezone
from urllib.parse import urlparse

from azure.keyvault.keys import (
    JsonWebKey,
    KeyClient,
    KeyReleasePolicy,
    KeyRotationLifetimeAction,
    KeyRotationPolicy,
    KeyRotationPolicyAction,
)
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from key_vault_evidence import envelope, release, transfer, unwrap
from key_vault_parts import DELETED, NO_ROLE, NOT_SERVED, NOT_THERE, OFF, TAKEN, UNFIT, UNKNOWN
from key_vault_parts import Credential, Stage, check, done, refused, same


def manage(stage):
    """Keys made, read, listed, changed, rotated, deleted, recovered, copied, purged and put back."""
    officer, purger = stage.keys("officer"), stage.keys("purger")
    rule, policy = stage.policy()
    key = officer.create_rsa_key(
        "managed", size=3072, hardware_protected=True, exportable=True, release_policy=policy, tags={"team": "blue"}
    )
    same(urlparse(key.id).netloc, urlparse(stage.vault).netloc, "the id has the host and port that were dialled")
    same((key.key_type, key.key.kty, len(key.key.n)), ("RSA-HSM", "RSA-HSM", 384), "type and size")
    same(json.loads(key.properties.release_policy.encoded_policy), rule, "the policy, as a value")
    same((key.properties.exportable, key.properties.tags), (True, {"team": "blue"}), "exportable, tags")
    same(key.properties.recovery_level, "Recoverable+Purgeable", "recovery level")
    same(set(key.key_operations), {"encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"}, "operations")
    check(abs(key.properties.created_on.timestamp() - time.time()) < 60, f"created {key.properties.created_on}")
    for found in [officer.get_key("managed"), stage.keys("user").get_key("managed", key.properties.version)]:
        same((found.id, found.key.n), (key.id, key.key.n), "the same key")
    done("create with a release policy, get")

    names = ["ec-key", "oct-key", "second", "third"]
    curve = officer.create_ec_key("ec-key", curve="P-384")
    same((curve.key_type, curve.key.crv, len(curve.key.x)), ("EC", "P-384", 48), "curve")
    secret = officer.create_oct_key("oct-key", size=256, hardware_protected=True)
    same((secret.key_type, secret.key.k), ("oct-HSM", None), "a symmetric key, of which nothing is shown")
    for name in names[2:]:
        officer.create_ec_key(name)
    # Two pages and a half: the link to the next is followed by the client.
    listed = list(officer.list_properties_of_keys(max_page_size=2))
    same([one.name for one in listed], sorted([*names, "managed"]), "keys in a list")
    check(all(one.version is None for one in listed), "a list has no versions")
    done("list in pages")

    rotated = officer.rotate_key("managed")
    check(rotated.properties.version != key.properties.version and rotated.key.n != key.key.n, "it was not rotated")
    again = officer.create_rsa_key("managed", size=3072, hardware_protected=True)
    versions = list(officer.list_properties_of_key_versions("managed", max_page_size=2))
    wanted = {one.properties.version for one in [key, rotated, again]}
    same({one.version for one in versions}, wanted, "versions")
    same(officer.get_key("managed").id, again.id, "the newest")
    done("rotate, create a further version, list versions")

    ends = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=90)
    updated = officer.update_key_properties("managed", expires_on=ends, tags={"team": "green"}, key_operations=["sign"])
    same((updated.id, updated.properties.expires_on), (again.id, ends), "the newest ends")
    same((updated.properties.tags, updated.key_operations), ({"team": "green"}, ["sign"]), "tags, operations")
    rule, policy = stage.policy(**{"x-ms-sevsnpvm-vmpl": "0"})
    updated = officer.update_key_properties("managed", release_policy=policy)
    same(json.loads(updated.properties.release_policy.encoded_policy), rule, "the new policy")
    older = officer.update_key_properties("managed", version=key.properties.version, enabled=False)
    same((older.id, older.properties.enabled), (key.id, False), "an older version alone is switched off")
    same(officer.get_key("Managed").properties.enabled, True, "the newest is not, by whatever case it is named")
    officer.update_key_properties("third", enabled=False)
    same(officer.get_key("third").properties.enabled, False, "switched off")
    sign = lambda: stage.crypto(curve_id(officer, "third"), "user").sign("ES256", bytes(32))  # noqa: E731
    refused("a key that is switched off", sign, OFF)
    officer.update_key_properties("third", enabled=True)
    sign()
    done("update: times, tags, operations, policy, switch")

    action = KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_after_create="P90D")
    officer.update_key_rotation_policy("managed", KeyRotationPolicy(lifetime_actions=[action], expires_in="P180D"))
    found = officer.get_key_rotation_policy("managed")
    same((found.id.rsplit("/keys/")[1], found.expires_in), ("managed/rotationpolicy", "P180D"), "rotation policy")
    same([(a.action, a.time_after_create) for a in found.lifetime_actions], [("Rotate", "P90D")], "its action")
    check(found.created_on and found.updated_on, "it has no dates")
    soon = KeyRotationPolicy(lifetime_actions=[], expires_in="P10D")
    refused("an end within 28 days", lambda: officer.update_key_rotation_policy("managed", soon), UNFIT)
    drawn = [officer.get_random_bytes(count=64) for _ in range(2)]
    check(len(drawn[0]) == 64 and drawn[0] != drawn[1], "random bytes")
    done("rotation policy set and got, random bytes")

    deleted = officer.begin_delete_key("second")
    deleted.wait()
    gone = deleted.result()
    same(urlparse(gone.recovery_id).path, "/deletedkeys/second", "recovery id")
    same((gone.scheduled_purge_date - gone.deleted_date).days, 90, "days until it is purged")
    same(officer.get_deleted_key("second").id, gone.id, "the deleted key")
    same([one.name for one in officer.list_deleted_keys()], ["second"], "deleted keys")
    refused("a key that was deleted", lambda: officer.get_key("second"), NOT_THERE)
    refused("to create over a deleted name", lambda: officer.create_ec_key("second"), DELETED, "recover or purge")
    recovering = officer.begin_recover_deleted_key("second")
    recovering.wait()
    same(recovering.result().id, gone.id, "the recovered key")
    same(officer.get_key("second").key.x, gone.key.x, "it is the same")
    done("soft delete, recover")

    copy = officer.backup_key("second")
    refused("to restore over a key", lambda: officer.restore_key_backup(copy), TAKEN)
    officer.begin_delete_key("second").wait()
    refused("to purge without the role", lambda: officer.purge_deleted_key("second"), NO_ROLE)
    purger.purge_deleted_key("second")
    refused("what was purged", lambda: officer.get_deleted_key("second"), NOT_THERE)
    same(officer.restore_key_backup(copy).id, gone.id, "what was put back")
    same(officer.get_key("second").key.x, gone.key.x, "it is the same once more")
    changed = copy[:-1] + bytes([copy[-1] ^ 1])
    refused("a copy that was changed", lambda: officer.restore_key_backup(changed), UNFIT)
    done("backup, purge, restore")


def curve_id(keys, name):
    return f"{keys.vault_url}/keys/{name}"


def refuse(stage):
    """What a vault says no to, each with the code that the client shows."""
    officer = stage.keys("officer")
    _, policy = stage.policy()

    def make(who="officer", **options):
        return lambda: stage.keys(who).create_rsa_key("unfit", **options)

    skr = lambda what, tag, call: refused(what, call, UNFIT, f"AKV.SKR.{tag}")  # noqa: E731
    hsm = {"hardware_protected": True}
    skr("an exportable key without a policy", 1004, make(exportable=True, **hsm))
    skr("a policy for a key that is not exportable", 1005, make(release_policy=policy, **hsm))
    skr("an exportable software key", 1006, make(exportable=True, release_policy=policy))
    _, frozen = stage.policy(immutable=True)
    key = officer.create_ec_key("frozen", hardware_protected=True, exportable=True, release_policy=frozen)
    same(key.properties.release_policy.immutable, True, "immutable")
    skr(
        "another policy for one that is immutable",
        1020,
        lambda: officer.update_key_properties("frozen", release_policy=policy_of(stage)),
    )
    skr(
        "a policy for one version",
        1016,
        lambda: officer.update_key_properties(
            "managed", version=officer.get_key("managed").properties.version, release_policy=policy
        ),
    )
    refused("a policy that is none", make(exportable=True, release_policy=KeyReleasePolicy(b'{"version":"1.0.0"}'), **hsm), UNFIT)
    refused("a creation without a role", make("outsider"), NO_ROLE)
    refused("a creation by a user of keys", make("user"), NO_ROLE)
    refused("a policy without the role for it", make("keeper", exportable=True, release_policy=policy, **hsm), NO_ROLE)
    refused("a key that is not there", lambda: officer.get_key("nobody"), NOT_THERE)
    refused("a key without a role", lambda: stage.keys("outsider").get_key("managed"), NO_ROLE)
    unknown = KeyClient(stage.vault, Credential("kg_" + "A" * 43), connection_verify=stage.ca)
    refused("a bearer that nobody knows", lambda: unknown.get_key("managed"), UNKNOWN, "AKV10000")
    refused("an attestation of an HSM", lambda: officer.get_key_attestation("managed"), NOT_SERVED)


def policy_of(stage):
    return stage.policy(**{"x-ms-sevsnpvm-vmpl": "1"})[1]


def holds(public, signature, message, *scheme):
    """Whether a signature is one, by a library that is none of ours."""
    try:
        public.verify(signature, message, *scheme)
        return True
    except InvalidSignature:
        return False


def sign(stage):
    """Signatures by roles alone; the client verifies here, cryptography verifies, and so does the vault."""
    officer = stage.keys("officer")
    message = b"what is signed"
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    key = officer.create_rsa_key("signer")
    public = rsa.RSAPublicNumbers(int.from_bytes(key.key.e, "big"), int.from_bytes(key.key.n, "big")).public_key()
    digest = hashlib.sha256(message).digest()
    for alg, scheme in [("RS256", padding.PKCS1v15()), ("PS256", pss)]:
        made = stage.crypto(key, "user").sign(alg, digest)
        same((made.key_id, made.algorithm), (key.id, alg), alg)
        check(holds(public, made.signature, message, scheme, hashes.SHA256()), f"{alg} is no signature")
        check(not holds(public, made.signature, b"something else", scheme, hashes.SHA256()), f"{alg} signs anything")
        check(stage.crypto(key, "user").verify(alg, digest, made.signature).is_valid, f"{alg}: the client says no")
    refused("to sign something longer than a digest", lambda: stage.crypto(key, "user").sign("RS256", bytes(33)), UNFIT)
    refused("to sign without the role", lambda: stage.crypto(key, "outsider").sign("RS256", digest), NO_ROLE)
    sealed = stage.crypto(key, "user").encrypt("RSA-OAEP", b"old").ciphertext
    now = datetime.now(timezone.utc)
    officer.update_key_properties("signer", not_before=now - timedelta(days=2), expires_on=now - timedelta(days=1))
    by_id = stage.crypto(key.id, "user")
    refused("to sign with a key that has ended", lambda: stage.crypto(key, "user").sign("RS256", digest), OFF)
    same(by_id.decrypt("RSA-OAEP", sealed).plaintext, b"old", "what was encrypted before its end")
    weak = lambda: by_id.unwrap_key("RSA1_5", sealed)  # noqa: E731
    refused("padding of 1998", weak, UNFIT)
    for curve, alg, kind, method, size in [
        ("P-256", "ES256", ec.SECP256R1, hashes.SHA256(), 32),
        ("P-521", "ES512", ec.SECP521R1, hashes.SHA512(), 66),
        ("P-256K", "ES256K", ec.SECP256K1, hashes.SHA256(), 32),
    ]:
        key = officer.create_ec_key(f"signer-{curve}", curve=curve)
        x, y = (int.from_bytes(part, "big") for part in [key.key.x, key.key.y])
        public = ec.EllipticCurvePublicNumbers(x, y, kind()).public_key()
        digest = hashes.Hash(method)
        digest.update(message)
        digest = digest.finalize()
        made = stage.crypto(key, "user").sign(alg, digest).signature
        same(len(made), 2 * size, f"{alg}: r and s")
        der = utils.encode_dss_signature(*(int.from_bytes(part, "big") for part in [made[:size], made[size:]]))
        check(holds(public, der, message, ec.ECDSA(method)), f"{alg} is no signature")
        check(stage.crypto(key, "user").verify(alg, digest, made).is_valid, f"{alg}: the client says no")
    done("sign and verify: RS256, PS256, ES256, ES512, ES256K")


def symmetric(stage):
    """Keys of AES that were brought: what the vault wraps is what anybody else wraps."""
    brought, inner = os.urandom(32), os.urandom(32)
    key = stage.keys("officer").import_key("aes", JsonWebKey(kty="oct-HSM", k=brought), hardware_protected=True)
    crypto = stage.crypto(key, "user")
    wrapped = crypto.wrap_key("A256KW", inner)
    same(wrapped.encrypted_key, keywrap.aes_key_wrap(brought, inner), "A256KW")
    same(crypto.unwrap_key("A256KW", wrapped.encrypted_key).key, inner, "what is unwrapped")
    changed = bytes([wrapped.encrypted_key[0] ^ 1]) + wrapped.encrypted_key[1:]
    refused("a wrapped key that was changed", lambda: crypto.unwrap_key("A256KW", changed), UNFIT)
    refused("an algorithm of another length", lambda: crypto.wrap_key("A128KW", inner), UNFIT)
    sealed = crypto.encrypt("A256GCM", b"plain", additional_authenticated_data=b"beside")
    same((len(sealed.iv), len(sealed.tag)), (12, 16), "iv and tag")
    parts = {"iv": sealed.iv, "authentication_tag": sealed.tag}
    opened = crypto.decrypt("A256GCM", sealed.ciphertext, additional_authenticated_data=b"beside", **parts)
    same(opened.plaintext, b"plain", "what is decrypted")
    other = lambda: crypto.decrypt("A256GCM", sealed.ciphertext, additional_authenticated_data=b"other", **parts)  # noqa: E731
    refused("other data beside", other, UNFIT)
    done("A256KW, A256GCM")


def main():
    # The client warns where it cannot do a symmetric operation by itself and asks the vault: as it should.
    logging.disable(logging.WARNING)
    stage = Stage(sys.argv[1])
    bearer = stage.bearer("user")
    refused(
        "a key that is not there yet",
        lambda: KeyClient(stage.vault, bearer, connection_verify=stage.ca).get_key("managed"),
        NOT_THERE,
    )
    above = urlparse(stage.vault).netloc.split(".", 1)[1]
    same(bearer.scopes, {f"https://{above}/.default"}, "the resource is the domain above, which the client checks")
    manage(stage)
    refuse(stage)
    sign(stage)
    symmetric(stage)
    envelope(stage, *unwrap(stage))
    release(stage)
    transfer(stage)
    print("all as expected")


main()
