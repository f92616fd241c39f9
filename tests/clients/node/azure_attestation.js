// Azure's own client for JavaScript, as it is published, against two providers on one host.
//
//     node azure_attestation.js STAGE
//
// STAGE is a JSON file: `url` of a provider that is open to roles, `iso` of an isolated one, and the `folder` with evidence, policy
// signers and credentials; with `tpm`, there is a machine with a TPM (`tpm_machine.py`, run by `python`); NODE_EXTRA_CA_CERTS names the CA. Every step prints one line. The first thing that is not as expected ends
// the program with exit code 1.

"use strict";

const { execFileSync } = require("child_process");
const { createHash, createVerify, X509Certificate } = require("crypto");
const { readFileSync } = require("fs");
const { join } = require("path");
const { isDeepStrictEqual } = require("util");
const {
  AttestationAdministrationClient,
  AttestationClient,
  createAttestationPolicyToken,
  KnownAttestationType,
} = require("@azure/attestation");

const PERMIT = "version=1.0; authorizationrules{=> permit();}; issuancerules{};";
const DENY =
  'version=1.0; authorizationrules{ c:[type=="x-ms-sgx-is-debuggable", value==false] => deny(); }; issuancerules{};';
const ISSUE =
  'version=1.0; authorizationrules{=> permit();}; issuancerules{ => issue(type="team", value="grün"); };';

const TPM = `version=1.2;
authorizationrules { [type=="aikValidated", value==true, issuer=="AttestationService"] => permit(); };
issuancerules { c:[type=="tpmVersion"] => issue(claim=c); => issueproperty(type="omit_x5c", value=true); };`;

const sha256 = (data) => createHash("sha256").update(data).digest();
const bytes = (data) => (data === undefined ? undefined : Buffer.from(data).toString("hex"));

function check(good, what) {
  if (!good) {
    console.log(`NOT AS EXPECTED: ${what}`);
    process.exit(1);
  }
}

function same(found, wanted, what) {
  check(isDeepStrictEqual(found, wanted), `${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
}

class Stage {
  constructor(description) {
    Object.assign(this, JSON.parse(readFileSync(description, "utf8")));
    this.quote = this.read("sgx-quote.bin");
    this.report = this.read("oe-report.bin");
    this.held = this.read("held.json");
    this.init = this.read("init.json");
  }

  read(name) {
    return readFileSync(join(this.folder, name));
  }

  /** Key and certificate, as the client wants them. */
  signer(name) {
    return { privateKey: this.read(`${name}.key`).toString(), certificate: this.read(`${name}.pem`).toString() };
  }

  der(name) {
    return new X509Certificate(this.read(`${name}.pem`)).raw;
  }

  x5c(name) {
    return [this.der(name).toString("base64")];
  }

  /** Checks in full, without slack. An object without `validateToken` would switch every check off. */
  checks(url, rest = {}) {
    const validationOptions = {
      validateToken: true,
      validateExpirationTime: true,
      validateNotBeforeTime: true,
      validateIssuer: true,
      expectedIssuer: url,
      timeValidationSlack: 0,
    };
    return { ...rest, validationOptions };
  }

  credential(file) {
    const token = this.read(`${file}.token`).toString();
    return { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3600000 }) };
  }
}

const raw = (answer) => JSON.parse(Buffer.from(answer.token.serialize().split(".")[1], "base64url").toString());

/** The client throws, and what it throws has our code and sentence. */
async function refused(what, call, status, code, words) {
  let error;
  try {
    await call();
  } catch (caught) {
    error = caught;
  }
  check(error, `${what}: was not refused`);
  check(error.name === "RestError", `${what}: ${error.stack}`);
  const body = JSON.parse(error.response.bodyAsText).error;
  same([error.statusCode, body.code], [status, code], `${what}: ${body.message}`);
  same(error.response.headers.get("x-ms-error-code"), code, what);
  check(body.message.includes(words), `${what}: \`${body.message}\` lacks \`${words}\``);
  check(error.message.includes(body.message), `${what}: the client says \`${error.message}\``);
  same(error.code, code, `${what}: code that the client tells`);
  console.log(`refused  ${what.padEnd(44)} ${status} ${code}: ${body.message}`);
}

/** SGX and Open Enclave: as bytes, as JSON, with neither, and a draft; without any credential. */
async function attest(stage, url) {
  const client = new AttestationClient(url);
  const claimed = JSON.parse(stage.held.toString());
  for (const [name, method, evidence] of [
    ["sgx", "attestSgxEnclave", stage.quote],
    ["open enclave", "attestOpenEnclave", stage.report],
  ]) {
    const call = (rest) => client[method](evidence, stage.checks(url, rest));
    const answer = await call({ runTimeData: stage.held });
    const { body, token } = answer;
    same(bytes(body.enclaveHeldData), bytes(stage.held), "held data");
    same([body.runTimeClaims, body.initTimeClaims, body.nonce], [undefined, undefined, undefined], "claims of bytes");
    same([body.issuer, body.version, body.verifierType], [url, "1.0", "sgx"], "issuer, version, kind");
    same([body.isDebuggable, body.productId, body.svn], [false, 1, 2], "debug, product, version");
    same([body.mrEnclave, body.mrSigner], ["e1".repeat(32), "51".repeat(32)], "measurements");
    same(body.sgxCollateral.quotehash, sha256(evidence).toString("hex"), "hash of what was sent");
    check(body.uniqueId && body.policyHash.length === 32, `id ${body.uniqueId}, policy ${body.policyHash}`);
    same([token.algorithm, token.type, token.keyUrl], ["RS256", "JWT", `${url}/certs`], "head of the token");
    same(token.expiresOn - token.issuedAt, 28800000, "life of the token");
    same(token.notBefore, token.issuedAt, "nbf and iat");
    check((await call({ runTimeData: stage.held })).body.uniqueId !== body.uniqueId, "two tokens have one id");

    const json = (await call({ runTimeJson: stage.held })).body;
    same(json.runTimeClaims, claimed, "run-time claims");
    same(json.enclaveHeldData, undefined, "JSON is also held data");
    const bare = (await call({})).body;
    same([bare.runTimeClaims, bare.enclaveHeldData], [undefined, undefined], "data from nowhere");

    // Without any options the client checks signature and dates.
    await client[method](evidence);

    const draft = await call({ runTimeJson: stage.held, draftPolicyForAttestation: ISSUE });
    same([draft.token.algorithm, draft.token.serialize().endsWith(".")], ["none", true], "token of a draft");
    same([draft.body.issuer, draft.body.runTimeClaims, raw(draft).team], [url, claimed, "grün"], "claims of a draft");
    check(!("team" in raw(await call({}))), "a draft was kept");
    console.log(`attested ${name} at ${url}: bytes, JSON, nothing, a draft`);
  }
  return client;
}

async function initData(stage, client) {
  const quote = stage.read("sgx-quote-init.bin");
  const call = (rest) => client.attestSgxEnclave(quote, stage.checks(stage.url, rest));
  const json = await call({ runTimeData: stage.held, initTimeJson: stage.init });
  same(json.body.initTimeClaims, JSON.parse(stage.init.toString()), "init-time claims");
  same((await call({ runTimeJson: stage.held, initTimeData: stage.init })).body.initTimeClaims, undefined, "bytes");
  const debug = await client.attestSgxEnclave(stage.read("sgx-quote-debug.bin"), stage.checks(stage.url));
  same(debug.body.isDebuggable, true, "an enclave in debug mode");
  console.log("attested data from the start of an enclave, and an enclave in debug mode");
  const other = { initTimeJson: Buffer.from('{"image":"other"}') };
  await refused("other data from the start", () => call(other), 400, "InvalidParameter", "");
}

async function metadata(stage, url, client) {
  const told = await client.getOpenIdMetadata();
  same([told.issuer, told.jwks_uri], [url, `${url}/certs`], "metadata");
  const signers = await client.getAttestationSigners();
  check(signers.length > 0 && signers.every((signer) => signer.keyId && signer.certificates.length), "key set");
  for (const signer of signers) {
    same(new X509Certificate(signer.certificates[0]).subject, `CN=${url}`, "subject of a certificate that signs tokens");
  }
  console.log(`read     metadata and ${signers.length} signing certificate of ${url}`);
  return signers;
}

/** A token of one provider is not one of another. */
async function foreign(stage, client, own, theirs) {
  const { token } = await client.attestSgxEnclave(stage.quote, stage.checks(stage.url));
  const problems = (signers, url) => token.getTokenProblems(signers, stage.checks(url).validationOptions);
  same(problems(own, stage.url), [], "problems of a good token");
  for (const [what, signers, url] of [
    ["keys of another provider", theirs, stage.url],
    ["another issuer", own, stage.iso],
  ]) {
    // This client throws where neither key set nor token have a certificate for the key id.
    let found;
    try {
      found = problems(signers, url);
    } catch (error) {
      found = [String(error)];
    }
    check(found.length, `a token was good under ${what}`);
    console.log(`rejected a token under ${what}: ${found}`);
  }
  const call = () => client.attestSgxEnclave(stage.quote, stage.checks(stage.iso));
  const told = await call().then(() => "accepted", String);
  check(told.includes("expected issuer"), `a token of another issuer: ${told}`);
}

/** Read, set, set with a signature of each kind, reset. */
async function policies(stage, admin, client) {
  const checks = (rest) => stage.checks(stage.url, rest);
  for (const [kind, attest] of [
    [KnownAttestationType.SgxEnclave, () => client.attestSgxEnclave(stage.quote, checks())],
    [KnownAttestationType.OpenEnclave, () => client.attestOpenEnclave(stage.report, checks())],
  ]) {
    const first = await admin.getPolicy(kind, checks());
    check(first.body.startsWith("version") && first.token.issuer === stage.url, `default policy: ${first.body}`);
    const plain = createAttestationPolicyToken(PERMIT).serialize();
    const set = await admin.setPolicy(kind, PERMIT, checks());
    same(set.body.policyResolution, "Updated", "set");
    same(bytes(set.body.policyTokenHash), bytes(sha256(plain)), "hash of what was set");
    same(set.body.policySigner, undefined, "signer of an unsigned policy");
    same(set.token.expiresOn - set.token.issuedAt, 3600000, "life of the answer");
    const got = await admin.getPolicy(kind, checks());
    same([got.body, raw(got)["x-ms-policy"]], [PERMIT, plain], "policy that was set");

    for (const [name, alg, key] of [
      ["signer", "RS256", "RSA"],
      ["curve", "ES256", "EC"],
    ]) {
      const signed = await admin.setPolicy(kind, ISSUE, checks(stage.signer(name)));
      same(signed.body.policyResolution, "Updated", `set, signed by ${name}`);
      const signer = raw(signed)["x-ms-policy-signer"];
      same([signer.alg, signer.kty, signer.x5c], [alg, key, stage.x5c(name)], `signer ${name}`);
      const shown = new X509Certificate(signed.body.policySigner.certificates[0]).raw;
      same(bytes(shown), bytes(stage.der(name)), `signer ${name}, as the client shows it`);
      const kept = await admin.getPolicy(kind, checks());
      const jws = raw(kept)["x-ms-policy"];
      // This client sends UTF-8, and shows it as ASCII.
      same(kept.body, Buffer.from(ISSUE).toString("ascii"), "signed policy");
      same(bytes(signed.body.policyTokenHash), bytes(sha256(jws)), "hash of what is kept");
      const head = JSON.parse(Buffer.from(jws.split(".")[0], "base64url").toString());
      same(head, { alg, x5c: stage.x5c(name) }, "head of what this client signs");
      // What was set counts for the next call.
      const attested = await attest();
      same(raw(attested).team, "grün", "issued by the policy");
      same(raw(attested)["x-ms-policy-signer"].x5c, stage.x5c(name), "signer of the policy in force");
    }
    const reset = await admin.resetPolicy(kind, checks());
    same([reset.body.policyResolution, reset.body.policyTokenHash], ["Removed", undefined], "reset");
    same((await admin.getPolicy(kind, checks())).body, first.body, "default policy again");
    const again = await admin.resetPolicy(kind, checks(stage.signer("signer")));
    same(again.body.policyResolution, "Removed", "signed reset of nothing");
    console.log(`managed  policies of ${kind}: default, unsigned, signed RSA and EC, reset`);
  }
  // A type without a policy has an empty one, on which this client falls over, as it does on the original's.
  const fell = await admin.getPolicy(KnownAttestationType.Tpm, checks()).then(() => "", String);
  check(fell.startsWith("TypeError"), `policy of a type that has none: ${fell}`);
  console.log(`read     an empty policy: ${fell}`);
}

async function denied(stage, admin, client) {
  const checks = (rest) => stage.checks(stage.url, rest);
  const kind = KnownAttestationType.SgxEnclave;
  const attest = () => client.attestSgxEnclave(stage.quote, checks({ runTimeData: stage.held }));
  for (const [what, policy, words] of [
    ["a policy that denies", DENY, "A Deny claim was issued"],
    ["a policy that does not permit", "version=1.0; authorizationrules{}; issuancerules{};", "A Permit claim was not issued"],
  ]) {
    await admin.setPolicy(kind, policy, checks());
    await refused(what, attest, 400, "PolicyEvaluationError", words);
    const drafted = () => client.attestOpenEnclave(stage.report, checks({ draftPolicyForAttestation: policy }));
    await refused(`${what}, as a draft`, drafted, 400, "PolicyEvaluationError", words);
  }
  const broken = "version=1.0; authorizationrules{=> permit() }; issuancerules{};";
  await refused("a policy that does not parse", () => admin.setPolicy(kind, broken, checks()), 400, "PolicyParsingError", "");
  await admin.resetPolicy(kind, checks());
  await attest();
}

async function callers(stage, client) {
  const kind = KnownAttestationType.SgxEnclave;
  const words = "requires a valid JWT bearer token";
  const admin = (file) => new AttestationAdministrationClient(stage.url, stage.credential(file));
  for (const [what, caller] of [
    ["a caller without the role", admin("default-outsider")],
    ["a manager of another provider", admin("iso-manager")],
  ]) {
    for (const [name, call] of [
      ["read", () => caller.getPolicy(kind)],
      ["set", () => caller.setPolicy(kind, PERMIT)],
      ["reset", () => caller.resetPolicy(kind)],
      ["list", () => caller.getPolicyManagementCertificates()],
    ]) {
      await refused(`${what}: ${name}`, call, 401, "Unauthorized", words);
    }
  }
  const reader = admin("default-reader");
  await reader.getPolicy(kind);
  await refused("a reader: set", () => reader.setPolicy(kind, PERMIT), 401, "Unauthorized", words);
  const tpm = JSON.stringify({ payload: { type: "aikcert" } });
  await refused("a tpm, without a credential", () => client.attestTpm(tpm), 401, "Unauthorized", words);
  const known = new AttestationClient(stage.url, stage.credential("default-reader"));
  await refused("a tpm, without a policy for it", () => known.attestTpm(tpm), 400, "Bad request", "has not been set");
  // Enclaves attest without any role: what a client sends is not looked at.
  const outsider = new AttestationClient(stage.url, stage.credential("default-outsider"));
  await outsider.attestSgxEnclave(stage.quote, stage.checks(stage.url));
}

/** A machine with a TPM, in two rounds. */
async function tpm(stage, admin) {
  const client = new AttestationClient(stage.url, stage.credential("default-reader"));
  await admin.setPolicy(KnownAttestationType.Tpm, TPM, stage.checks(stage.url));
  const told = async (payload) => JSON.parse(await client.attestTpm(JSON.stringify({ payload }))).payload;
  const { challenge, service_context: context } = await told({ type: "aikcert" });
  const script = join(__dirname, "..", "tpm_machine.py");
  const request = execFileSync(stage.python, [script, "request", stage.folder, challenge, context]).toString().trim();
  const { report } = await told({ request });
  const [head, body, signature] = report.split(".");
  const part = (text) => JSON.parse(Buffer.from(text, "base64url").toString());
  const signers = await client.getAttestationSigners();
  const signer = signers.find((one) => one.keyId === part(head).kid);
  check(signer, "the key set knows the key of the report");
  same([part(head).alg, part(head).x5t, part(head).x5c], ["RS256", part(head).kid, undefined], "head of the report");
  const verify = createVerify("sha256").update(`${head}.${body}`);
  check(verify.verify(signer.certificates[0], Buffer.from(signature, "base64url")), "signature of the report");
  const claims = part(body);
  same([claims.iss, claims.tpmVersion, claims.nonce], [stage.url, 2, "cmVseWluZyBwYXJ0eSdzIG93bg"], "claims of the report");
  console.log("attested a machine with a TPM");
  await refused("a tpm: a challenge that was used", () => told({ request }), 400, "InvalidParameter", "");
  await admin.resetPolicy(KnownAttestationType.Tpm, stage.checks(stage.url));
}

/** Policies and certificates where a role is not enough. */
async function isolated(stage, admin) {
  const kind = KnownAttestationType.SgxEnclave;
  const checks = (rest) => stage.checks(stage.iso, rest);
  const thumbprint = (name) => createHash("sha1").update(stage.der(name)).digest("hex").toUpperCase();
  const wanted = (names) => names.map((name) => bytes(stage.der(name))).sort();
  const listed = async () => {
    const { body } = await admin.getPolicyManagementCertificates(checks());
    return body.map((signer) => bytes(new X509Certificate(signer.certificates[0]).raw)).sort();
  };
  same(await listed(), wanted(["signer", "other"]), "signers in the beginning");

  const words = "registered policy signer";
  const change = (method) => (certificate, by) => {
    const { privateKey, certificate: own } = stage.signer(by);
    return admin[method](stage.read(`${certificate}.pem`).toString(), privateKey, own, checks());
  };
  const add = change("addPolicyManagementCertificate");
  const remove = change("removePolicyManagementCertificate");
  const set = (name) => admin.setPolicy(kind, PERMIT, checks(name ? stage.signer(name) : {}));
  const reset = (name) => admin.resetPolicy(kind, checks(name ? stage.signer(name) : {}));
  for (const [what, call] of [
    ["isolated: set, unsigned", () => set()],
    ["isolated: reset, unsigned", () => reset()],
    ["isolated: set, signed by a stranger", () => set("stranger")],
    ["isolated: reset, signed by a stranger", () => reset("stranger")],
    ["isolated: add, signed by a stranger", () => add("stranger", "stranger")],
    ["isolated: remove, signed by a stranger", () => remove("other", "stranger")],
  ]) {
    await refused(what, call, 400, "InvalidOperation", words);
  }
  same((await set("signer")).body.policyResolution, "Updated", "signed set");
  same((await admin.getPolicy(kind, checks())).body, PERMIT, "policy of the isolated provider");
  same((await reset("other")).body.policyResolution, "Removed", "signed reset");

  for (const [name, call, certificate, by, resolution, after] of [
    ["add again", add, "signer", "signer", "IsPresent", ["signer", "other"]],
    ["add one with EC", add, "curve", "signer", "IsPresent", ["signer", "other", "curve"]],
    ["remove by it", remove, "other", "curve", "IsAbsent", ["signer", "curve"]],
    ["remove again", remove, "other", "signer", "IsAbsent", ["signer", "curve"]],
    ["add back", add, "other", "curve", "IsPresent", ["signer", "curve", "other"]],
    ["remove it", remove, "curve", "signer", "IsAbsent", ["signer", "other"]],
    ["remove itself", remove, "signer", "signer", "IsAbsent", ["other"]],
  ]) {
    const { body } = await call(certificate, by);
    same([body.certificateResolution, body.certificateThumbprint], [resolution, thumbprint(certificate)], name);
    same(await listed(), wanted(after), `signers after: ${name}`);
  }
  console.log("managed  signers of the isolated provider: list, add, remove");
  await refused("isolated: set, by a signer of the past", () => set("signer"), 400, "InvalidOperation", words);
  await refused("isolated: remove the last one", () => remove("other", "other"), 400, "InvalidOperation", "last");
}

async function run(description) {
  const stage = new Stage(description);
  const client = await attest(stage, stage.url);
  const strange = await attest(stage, stage.iso);
  await initData(stage, client);
  const own = await metadata(stage, stage.url, client);
  const theirs = await metadata(stage, stage.iso, strange);
  check(!own.some((signer) => theirs.some((other) => other.keyId === signer.keyId)), "two providers sign with one key");
  await foreign(stage, client, own, theirs);
  const admin = new AttestationAdministrationClient(stage.url, stage.credential("default-manager"));
  await policies(stage, admin, client);
  await denied(stage, admin, client);
  await callers(stage, client);
  if (stage.tpm) {
    await tpm(stage, admin);
  }
  const none = await admin.getPolicyManagementCertificates(stage.checks(stage.url));
  same(none.body, [], "signers of a provider that is open to roles");
  await isolated(stage, new AttestationAdministrationClient(stage.iso, stage.credential("iso-manager")));
  console.log("all as expected");
}

run(process.argv[2]).catch((error) => {
  console.log(error);
  process.exit(1);
});
