// Key Vault's own client for JavaScript, as it is published, against a vault whose keys are used and released upon evidence.
//
//     node azure_key_vault.js STAGE
//
// STAGE is a JSON file: the `vault` and its `host`, the `issuer` of a verifier's tokens, the `folder` with credentials and with the
// verifier's key, the program `keygate`, the address `admin` and the `ca` for a rule officer; NODE_EXTRA_CA_CERTS names the CA too. Every
// step prints one line. The first thing that is not as expected ends the program with exit code 1.

"use strict";

const { execFileSync } = require("child_process");
const crypto = require("crypto");
const dns = require("dns");
const { mkdirSync, readFileSync, rmSync, writeFileSync } = require("fs");
const { dirname, join } = require("path");
const { isDeepStrictEqual } = require("util");
const { createDefaultHttpClient } = require("@azure/core-rest-pipeline");
const { CryptographyClient, KeyClient } = require("@azure/keyvault-keys");

const MEASUREMENT = "ab01".repeat(24);
const OTHER = "cd02".repeat(24);
const ENCS = [
  [undefined, "sha1"],
  ["CKM_RSA_AES_KEY_WRAP", "sha1"],
  ["RSA_AES_KEY_WRAP_256", "sha256"],
  ["RSA_AES_KEY_WRAP_384", "sha384"],
];

const bytes = (data) => Buffer.from(data).toString("hex");
const now = () => Math.floor(Date.now() / 1000);

function check(good, what) {
  if (!good) {
    console.log(`NOT AS EXPECTED: ${what}`);
    process.exit(1);
  }
}

function same(found, wanted, what) {
  check(isDeepStrictEqual(found, wanted), `${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
}

function done(what) {
  console.log(`done     ${what}`);
}

/** The client raises, and what it raises has our codes and sentence; of an inner error it keeps the code alone. */
async function refused(what, call, status, code, inner, words = "") {
  let raised;
  try {
    await call();
  } catch (error) {
    raised = error;
  }
  check(raised !== undefined, `${what}: was not refused`);
  const told = raised.details?.error;
  check(told !== undefined, `${what}: ${raised.stack}`);
  const codes = [raised.statusCode, raised.code, told.code, told.innerError?.code];
  same(codes, [status, code, code, inner], `${what}: ${JSON.stringify(told)}`);
  check(told.message.includes(words) && raised.message.includes(words), `${what}: ${raised.message} lacks ${words}`);
  console.log(`refused  ${what.padEnd(58)} ${status} ${code}/${inner}: ${told.message}`);
}

/** A confidential container with a key of its own, and the tokens that its verifier makes for it. */
class Workload {
  constructor(stage, measurement = MEASUREMENT) {
    Object.assign(this, { stage, measurement });
    Object.assign(this, crypto.generateKeyPairSync("rsa", { modulusLength: 2048 }));
  }

  token(nonce, { signer = "verifier", ...changes } = {}) {
    const { kty, n, e } = this.publicKey.export({ format: "jwk" });
    const keys = [{ kid: "workload-1", kty, n, e, key_use: "enc", key_ops: ["encrypt"] }];
    const claims = {
      iss: this.stage.issuer,
      iat: now(),
      nbf: now(),
      exp: now() + 28800,
      "x-ms-ver": "1.0",
      "x-ms-attestation-type": "sevsnpvm",
      "x-ms-compliance-status": "azure-compliant-uvm",
      "x-ms-sevsnpvm-is-debuggable": false,
      "x-ms-sevsnpvm-launchmeasurement": this.measurement,
      "x-ms-sevsnpvm-vmpl": 0,
      "x-ms-runtime": nonce === undefined ? { keys } : { keys, nonce },
      ...changes,
    };
    const head = { alg: "RS256", typ: "JWT", kid: "verifier-1", jku: `${this.stage.issuer}/certs` };
    const signed = [head, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
    const key = this.stage.read(`${signer}.key`);
    return `${signed}.${crypto.sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
  }

  /** All that a workload adds to use keys: evidence as the bearer, with the nonce that the vault asks for. */
  credential(attest = (nonce) => this.token(nonce)) {
    return {
      async getToken(_scopes, { claims } = {}) {
        const nonce = claims && JSON.parse(claims).access_token.nonce.value;
        return { token: attest(nonce), expiresOnTimestamp: Date.now() + 3600_000 };
      },
    };
  }
}

class Stage {
  constructor(description) {
    Object.assign(this, JSON.parse(readFileSync(description, "utf8")));
    this.scopes = new Set();
    // No machine has to be told of the name.
    const usual = dns.lookup;
    dns.lookup = (host, ...rest) => usual(host === this.host ? "127.0.0.1" : host, ...rest);
  }

  read(name) {
    return readFileSync(join(this.folder, name));
  }

  bearer(who) {
    const token = this.read(`${who}.token`).toString();
    const scopes = this.scopes;
    return {
      async getToken(wanted) {
        scopes.add(String(wanted));
        return { token, expiresOnTimestamp: Date.now() + 3600_000 };
      },
    };
  }

  /** With every default. */
  keys(who) {
    return new KeyClient(this.vault, typeof who === "string" ? this.bearer(who) : who);
  }

  /** For a key, or its id alone; with what was answered. */
  crypto(key, who, answers = []) {
    const usual = createDefaultHttpClient();
    const httpClient = {
      async sendRequest(request) {
        const response = await usual.sendRequest(request);
        answers.push(response.status);
        return response;
      },
    };
    return new CryptographyClient(key, typeof who === "string" ? this.bearer(who) : who, { httpClient });
  }

  rule(more = {}) {
    const held = {
      "x-ms-attestation-type": "sevsnpvm",
      "x-ms-compliance-status": "azure-compliant-uvm",
      "x-ms-sevsnpvm-is-debuggable": "false",
      "x-ms-sevsnpvm-launchmeasurement": MEASUREMENT,
      ...more,
    };
    const allOf = Object.entries(held).map(([claim, equals]) => ({ claim, equals }));
    return { version: "1.0.0", anyOf: [{ authority: this.issuer, allOf }] };
  }

  policy(more, immutable) {
    return { encodedPolicy: Buffer.from(JSON.stringify(this.rule(more))), immutable };
  }

  /** What a rule officer does at the other door. */
  setOption(name, options) {
    const file = join(this.folder, "apply", "keys", `${name}.json`);
    mkdirSync(dirname(file), { recursive: true });
    const document = { rules: { default: this.rule() }, options: { freshness: "issuer", ...options } };
    writeFileSync(file, JSON.stringify(document));
    const words = ["apply", "-f", dirname(dirname(file)), "--server", this.admin, "--ca", this.ca];
    execFileSync(this.keygate, [...words, "--credential", join(this.folder, "officer.token")]);
    rmSync(file);
  }
}

async function all(pages) {
  const found = [];
  for await (const page of pages) {
    check(page.length <= 2, "a page is longer than was asked for");
    found.push(...page);
  }
  return found;
}

/** Keys made, read, listed, changed, rotated, deleted, recovered, copied, purged and put back. */
async function manage(stage) {
  const officer = stage.keys("officer");
  const key = await officer.createRsaKey("managed", {
    keySize: 3072, hsm: true, exportable: true, releasePolicy: stage.policy(), tags: { team: "blue" },
  });
  same(key.properties.vaultUrl, stage.vault, "the id has the host and port that were dialled");
  same([key.keyType, key.key.n.length, key.properties.exportable], ["RSA-HSM", 384, true], "type, size, exportable");
  same(JSON.parse(Buffer.from(key.properties.releasePolicy.encodedPolicy)), stage.rule(), "the policy, as a value");
  same(key.properties.recoveryLevel, "Recoverable+Purgeable", "recovery level");
  check(Math.abs(key.properties.createdOn - Date.now()) < 60_000, `created ${key.properties.createdOn}`);
  same((await officer.getKey("managed")).id, key.id, "the same key");
  same((await stage.keys("user").getKey("managed", { version: key.properties.version })).id, key.id, "its version");
  done("create with a release policy, get");

  for (const [name, type] of [["curve", "EC"], ["second", "EC-HSM"], ["secret", "oct-HSM"]]) {
    same((await officer.createKey(name, type)).keyType, type, name);
  }
  const listed = await all(officer.listPropertiesOfKeys().byPage({ maxPageSize: 2 }));
  same(listed.map((one) => one.name), ["curve", "managed", "second", "secret"], "keys in a list");
  const rotated = await officer.rotateKey("managed");
  const versions = await all(officer.listPropertiesOfKeyVersions("managed").byPage({ maxPageSize: 2 }));
  const wanted = [key, rotated].map((one) => one.properties.version).sort();
  same(versions.map((one) => one.version).sort(), wanted, "versions");
  done("list in pages, rotate, list versions");

  const expiresOn = new Date((now() + 90 * 86400) * 1000);
  const updated = await officer.updateKeyProperties("managed", {
    expiresOn, tags: { team: "green" }, keyOps: ["sign"], releasePolicy: stage.policy({ "x-ms-sevsnpvm-vmpl": "0" }),
  });
  same([updated.id, updated.properties.expiresOn], [rotated.id, expiresOn], "the newest ends");
  same([{ ...updated.properties.tags }, updated.keyOperations], [{ team: "green" }, ["sign"]], "tags, operations");
  const shown = JSON.parse(Buffer.from(updated.properties.releasePolicy.encodedPolicy));
  same(shown, stage.rule({ "x-ms-sevsnpvm-vmpl": "0" }), "the new policy");
  await officer.updateKeyProperties("curve", { enabled: false });
  const off = `${stage.vault}/keys/curve`;
  const sign = () => stage.crypto(off, "user").sign("ES256", Buffer.alloc(32));
  await refused("a key that is switched off", sign, 403, "Forbidden", "KeyDisabled");
  done("update: times, tags, operations, policy, switch");

  const lifetimeActions = [{ action: "Rotate", timeAfterCreate: "P90D" }];
  await officer.updateKeyRotationPolicy("managed", { lifetimeActions, expiresIn: "P180D" });
  const found = await officer.getKeyRotationPolicy("managed");
  same([found.expiresIn, found.lifetimeActions[0].action], ["P180D", "Rotate"], "rotation policy");
  same(found.lifetimeActions[0].timeAfterCreate, "P90D", "its action");
  same((await officer.getRandomBytes(64)).length, 64, "random bytes");
  done("rotation policy set and got, random bytes");

  const poller = await officer.beginDeleteKey("second", { intervalInMs: 50 });
  const gone = await poller.pollUntilDone();
  same(gone.properties.recoveryId, `${stage.vault}/deletedkeys/second`, "recovery id");
  same((await officer.getDeletedKey("second")).id, gone.id, "the deleted key");
  same((await all(officer.listDeletedKeys().byPage({ maxPageSize: 2 }))).map((one) => one.name), ["second"], "deleted");
  await refused("a key that was deleted", () => officer.getKey("second"), 404, "KeyNotFound", "KeyNotFound");
  const over = () => officer.createEcKey("second");
  await refused("to create over a deleted name", over, 409, "Conflict", "ObjectIsDeletedButRecoverable");
  const recovered = await (await officer.beginRecoverDeletedKey("second", { intervalInMs: 50 })).pollUntilDone();
  same(recovered.id, gone.id, "the recovered key");
  done("soft delete, recover");

  const copy = await officer.backupKey("second");
  await refused("to restore over a key", () => officer.restoreKeyBackup(copy), 409, "Conflict", "Conflict");
  await (await officer.beginDeleteKey("second", { intervalInMs: 50 })).pollUntilDone();
  const purge = () => officer.purgeDeletedKey("second");
  await refused("to purge without the role", purge, 403, "Forbidden", "ForbiddenByRbac");
  await stage.keys("purger").purgeDeletedKey("second");
  same((await officer.restoreKeyBackup(copy)).id, gone.id, "what was put back");
  same(bytes((await officer.getKey("second")).key.x), bytes(gone.key.x), "it is the same");
  done("backup, purge, restore");
}

/** What a vault says no to, each with the code that the client shows. */
async function refuse(stage) {
  const make = (options, who = "officer") => () => stage.keys(who).createRsaKey("unfit", options);
  const skr = (what, tag, call) => refused(what, call, 400, "BadParameter", "BadParameter", `AKV.SKR.${tag}`);
  const releasePolicy = stage.policy();
  await skr("an exportable key without a policy", 1004, make({ hsm: true, exportable: true }));
  await skr("a policy for a key that is not exportable", 1005, make({ hsm: true, releasePolicy }));
  await skr("an exportable software key", 1006, make({ exportable: true, releasePolicy }));
  const frozen = { hsm: true, exportable: true, releasePolicy: stage.policy({}, true) };
  await stage.keys("officer").createEcKey("frozen", frozen);
  const other = { releasePolicy: stage.policy({ "x-ms-sevsnpvm-vmpl": "1" }) };
  const thaw = () => stage.keys("officer").updateKeyProperties("frozen", other);
  await skr("another policy for one that is immutable", 1020, thaw);
  await refused("a creation without a role", make({}, "outsider"), 403, "Forbidden", "ForbiddenByRbac");
  const nobody = () => stage.keys("officer").getKey("nobody");
  await refused("a key that is not there", nobody, 404, "KeyNotFound", "KeyNotFound");
  const unknown = { getToken: async () => ({ token: `kg_${"A".repeat(43)}`, expiresOnTimestamp: Date.now() + 3600_000 }) };
  const ask = () => stage.keys(unknown).getKey("managed");
  await refused("a bearer that nobody knows", ask, 401, "Unauthorized", "Unauthorized", "AKV10000");
}

/** Signatures and keys of AES, by roles alone. */
async function use(stage) {
  const officer = stage.keys("officer");
  const message = Buffer.from("what is signed");
  const digest = crypto.createHash("sha256").update(message).digest();
  const pss = { padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  const signers = { rsa: await officer.createRsaKey("signer"), ec: await officer.createEcKey("signer-ec") };
  for (const [alg, kind, how] of [["RS256", "rsa", {}], ["PS256", "rsa", pss], ["ES256", "ec", { dsaEncoding: "ieee-p1363" }]]) {
    const { kty, crv, ...rest } = signers[kind].key;
    const jwk = { kty, crv };
    for (const name of ["n", "e", "x", "y"]) {
      if (rest[name]) jwk[name] = Buffer.from(rest[name]).toString("base64url");
    }
    const key = crypto.createPublicKey({ key: jwk, format: "jwk" });
    const client = stage.crypto(signers[kind], "user");
    const { result } = await client.sign(alg, digest);
    check(crypto.verify("sha256", message, { key, ...how }, result), `${alg} is no signature`);
    check((await client.verify(alg, digest, result)).result, `${alg}: the client says no`);
    // Curves are verified by the vault, for this client cannot.
    if (kind === "ec") check(!(await client.verify(alg, Buffer.alloc(32), result)).result, `${alg}: anything holds`);
  }
  done("sign and verify: RS256, PS256, ES256");

  const [k, inner] = [crypto.randomBytes(32), crypto.randomBytes(32)];
  const client = stage.crypto(await officer.importKey("aes", { kty: "oct-HSM", k }, { hardwareProtected: true }), "user");
  const wrapped = (await client.wrapKey("A256KW", inner)).result;
  const cipher = crypto.createCipheriv("id-aes256-wrap", k, Buffer.alloc(8, 0xa6));
  same(bytes(wrapped), bytes(Buffer.concat([cipher.update(inner), cipher.final()])), "A256KW");
  same(bytes((await client.unwrapKey("A256KW", wrapped)).result), bytes(inner), "what is unwrapped");
  const beside = { additionalAuthenticatedData: Buffer.from("beside") };
  const sealed = await client.encrypt({ algorithm: "A256GCM", plaintext: Buffer.from("plain"), ...beside });
  const { iv, authenticationTag, result: ciphertext } = sealed;
  const opening = { algorithm: "A256GCM", ciphertext, iv, authenticationTag };
  same(Buffer.from((await client.decrypt({ ...opening, ...beside })).result).toString(), "plain", "what is decrypted");
  const wrong = () => client.decrypt({ ...opening, additionalAuthenticatedData: Buffer.from("other") });
  await refused("other data beside", wrong, 400, "BadParameter", "BadParameter");
  done("A256KW, A256GCM");
}

/** A key with a rule: unwrapped upon evidence that is made for this very call. */
async function unwrap(stage) {
  const workload = new Workload(stage);
  const made = { hsm: true, exportable: true, releasePolicy: stage.policy() };
  const key = await stage.keys("officer").createRsaKey("kek", made);
  const inner = crypto.randomBytes(32);
  const wrapped = (await stage.crypto(key, "user").wrapKey("RSA-OAEP-256", inner)).result;
  const answers = [];
  const client = stage.crypto(key, workload.credential(), answers);
  const call = (by = client, text = wrapped) => by.unwrapKey("RSA-OAEP-256", text);
  await refused("an unwrap, before the option says so", call, 403, "Forbidden", "AccessDenied", "`clear`");
  stage.setOption("kek", { clear: "token" });

  const kept = [];
  const keeping = workload.credential((nonce) => kept[kept.push(workload.token(nonce)) - 1]);
  const fresh = stage.crypto(key, keeping, answers);
  answers.length = 0;
  same(bytes((await call(fresh)).result), bytes(inner), "what is unwrapped");
  same(answers, [401, 401, 200], "the usual challenge of a new client, and one round trip more");
  answers.length = 0;
  same(bytes((await call(fresh)).result), bytes(inner), "what is unwrapped again");
  same(answers, [401, 401, 200], "this client sends a refused token once more before it asks for another");
  done("attested unwrap through a TokenCredential");

  const other = (await stage.crypto(key, "user").wrapKey("RSA-OAEP-256", crypto.randomBytes(32))).result;
  const stolen = stage.crypto(key, workload.credential(() => kept.at(-1)));
  const nonce = [401, "Unauthorized", "AttestationNonceRequired"];
  await refused("a token with its nonce, for another ciphertext", () => call(stolen, other), ...nonce);
  await refused("a token with its nonce, once more", () => call(stolen), ...nonce);
  const elsewhere = stage.crypto(key, new Workload(stage, OTHER).credential());
  await refused("a workload of another measurement", () => call(elsewhere), 403, "Forbidden", "AccessDenied");
  const forged = stage.crypto(key, workload.credential((n) => workload.token(n, { signer: "stranger" })));
  await refused("a token by a key that is not the verifier's", () => call(forged), 401, "Unauthorized", "Unauthorized");
  const remote = stage.crypto(key.id, workload.credential());
  same(bytes((await call(remote, other)).result).length, 64, "by its id alone");
  done("attested unwrap by id alone");
}

/** What a release answer holds, checked and opened by Node's crypto alone. The order is that of a careful client. */
function opened(stage, workload, answer, name, [enc, hash], nonce) {
  const [head, payload] = answer.split(".", 2).map((part) => JSON.parse(Buffer.from(part, "base64url")));
  const signed = answer.slice(0, answer.lastIndexOf("."));
  const chain = head.x5c.map((der) => new crypto.X509Certificate(Buffer.from(der, "base64")));
  const ca = new crypto.X509Certificate(readFileSync(stage.ca));
  same([head.alg, chain.at(-1).fingerprint256], ["RS256", ca.fingerprint256], "signed under the CA");
  chain.slice(1).forEach((parent, at) => check(chain[at].checkIssued(parent) && chain[at].verify(parent.publicKey), "chain"));
  check(chain[0].checkHost(stage.host), "the signer is another host");
  const signature = Buffer.from(answer.split(".")[2], "base64url");
  check(crypto.verify("sha256", Buffer.from(signed), chain[0].publicKey, signature), "the signature is wrong");
  const { request, response } = payload;
  const wanted = enc ?? "CKM_RSA_AES_KEY_WRAP";
  same([request.kid, request.enc, request.nonce], [`${stage.vault}/keys/${name}`, wanted, nonce], "what was asked");
  const sealed = JSON.parse(Buffer.from(response.key.key.key_hsm, "base64url"));
  same(sealed.header, { kid: "workload-1", alg: "dir", enc: wanted }, "the head of the sealed key");
  const ciphertext = Buffer.from(sealed.ciphertext, "base64url");
  const oaep = { key: workload.privateKey, padding: crypto.constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hash };
  const outer = crypto.privateDecrypt(oaep, ciphertext.subarray(0, 256));
  const unwrapping = crypto.createDecipheriv("id-aes256-wrap-pad", outer, Buffer.from("a65959a6", "hex"));
  return Buffer.concat([unwrapping.update(ciphertext.subarray(256)), unwrapping.final()]);
}

/** Keys of every kind are brought, and leave sealed to the key in the evidence, in each form. */
async function release(stage) {
  const [officer, user, workload] = [stage.keys("officer"), stage.keys("user"), new Workload(stage)];
  const pairs = {
    rsa: crypto.generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey,
    ec: crypto.generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey,
  };
  const secret = crypto.randomBytes(32);
  const kinds = { oct: { kty: "oct-HSM", k: secret } };
  for (const [kind, pair] of Object.entries(pairs)) {
    const { kty, crv, ...numbers } = pair.export({ format: "jwk" });
    const raw = Object.entries(numbers).map(([name, text]) => [name, Buffer.from(text, "base64url")]);
    kinds[kind] = { kty: `${kty}-HSM`, ...(crv && { crv }), ...Object.fromEntries(raw) };
  }
  for (const [kind, jwk] of Object.entries(kinds)) {
    const name = `release-${kind}`;
    const options = { hardwareProtected: true, exportable: true, releasePolicy: stage.policy() };
    const key = await officer.importKey(name, jwk, options);
    for (const [at, form] of ENCS.entries()) {
      const nonce = at === 0 ? undefined : `n-${at}`;
      const { value } = await user.releaseKey(name, workload.token(), { algorithm: form[0], nonce });
      const plain = opened(stage, workload, value, name, form, nonce);
      const found = kind === "oct" ? plain : crypto.createPrivateKey({ key: plain, format: "der", type: "pkcs8" });
      check(kind === "oct" ? plain.equals(secret) : found.equals(pairs[kind]), `${name} ${form[0]}: another key`);
    }
    const { version } = key.properties;
    const { value } = await user.releaseKey(name, workload.token(), { version });
    same(JSON.parse(Buffer.from(value.split(".")[1], "base64url")).request.kid, key.id, "the version that was asked for");
  }
  done("import and release of RSA, EC and AES keys in each form; what is opened is what was brought");

  const call = (target) => () => user.releaseKey("release-oct", target);
  const other = call(new Workload(stage, OTHER).token());
  await refused("a release to another measurement", other, 403, "Forbidden", "AttestationDenied");
  const forged = call(workload.token(undefined, { signer: "stranger" }));
  await refused("a token by another key", forged, 400, "BadParameter", "AttestationInvalid");
}

async function main() {
  const stage = new Stage(process.argv[2]);
  await refused("a key that is not there yet", () => stage.keys("user").getKey("managed"), 404, "KeyNotFound", "KeyNotFound");
  const above = new URL(stage.vault).host.split(".").slice(1).join(".");
  same([...stage.scopes], [`https://${above}/.default`], "the resource is the domain above, which the client checks");
  await manage(stage);
  await refuse(stage);
  await use(stage);
  await unwrap(stage);
  await release(stage);
  console.log("all as expected");
}

main().catch((error) => check(false, error.stack));
