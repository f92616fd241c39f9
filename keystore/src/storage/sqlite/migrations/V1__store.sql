-- Format 1. Every table is STRICT. `mac` authenticates a row with its place; rows of all tables but
-- `store`, `head` and `journal` are counted in the accumulator of `head`.

CREATE TABLE store (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    format         INTEGER NOT NULL,
    store_id       BLOB NOT NULL CHECK (length(store_id) = 16),
    incarnation    INTEGER NOT NULL,
    root_check     BLOB NOT NULL CHECK (length(root_check) = 32),
    root_provider  TEXT NOT NULL,
    retention_days INTEGER NOT NULL,
    created        INTEGER NOT NULL,
    mac            BLOB NOT NULL
) STRICT;

CREATE TABLE head (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    generation     INTEGER NOT NULL,
    epoch          INTEGER NOT NULL,
    salt           BLOB NOT NULL,
    accumulator    BLOB NOT NULL,
    audit_seq      INTEGER NOT NULL,
    audit_hash     BLOB NOT NULL,
    audit_at       INTEGER NOT NULL,
    newest_time    INTEGER NOT NULL,
    pruned_through INTEGER NOT NULL,
    mac            BLOB NOT NULL
) STRICT;

CREATE TABLE keys (
    provider      TEXT NOT NULL,
    folded        TEXT NOT NULL,
    name          TEXT NOT NULL,
    row_id        BLOB NOT NULL,
    row_version   INTEGER NOT NULL,
    key_type      TEXT NOT NULL,
    enabled       INTEGER NOT NULL,
    not_before    INTEGER,
    expires       INTEGER,
    exportable    INTEGER NOT NULL,
    operations    TEXT NOT NULL,
    tags          TEXT NOT NULL,
    rule_number   INTEGER NOT NULL,
    rule_contents BLOB,
    immutable     INTEGER NOT NULL,
    deleted_at    INTEGER,
    purge_at      INTEGER,
    created       INTEGER NOT NULL,
    updated       INTEGER NOT NULL,
    versions      INTEGER NOT NULL,
    data_key      BLOB NOT NULL,
    mac           BLOB NOT NULL,
    PRIMARY KEY (provider, folded)
) STRICT, WITHOUT ROWID;

CREATE TABLE versions (
    key_id      BLOB NOT NULL,
    number      INTEGER NOT NULL,
    row_id      BLOB NOT NULL,
    row_version INTEGER NOT NULL,
    created     INTEGER NOT NULL,
    enabled     INTEGER NOT NULL,
    public      TEXT NOT NULL,
    material    BLOB NOT NULL,
    mac         BLOB NOT NULL,
    PRIMARY KEY (key_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE rules (
    key_id   BLOB NOT NULL,
    number   INTEGER NOT NULL,
    row_id   BLOB NOT NULL,
    at       INTEGER NOT NULL,
    author   TEXT NOT NULL,
    reason   TEXT NOT NULL,
    digest   BLOB NOT NULL,
    document TEXT NOT NULL,
    mac      BLOB NOT NULL,
    PRIMARY KEY (key_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE policies (
    provider TEXT NOT NULL,
    kind     TEXT NOT NULL,
    number   INTEGER NOT NULL,
    row_id   BLOB NOT NULL,
    at       INTEGER NOT NULL,
    author   TEXT NOT NULL,
    reason   TEXT NOT NULL,
    digest   BLOB NOT NULL,
    document TEXT NOT NULL,
    mac      BLOB NOT NULL,
    PRIMARY KEY (provider, kind, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE credentials (
    token       BLOB PRIMARY KEY,
    provider    TEXT NOT NULL,
    name        TEXT NOT NULL,
    row_id      BLOB NOT NULL,
    row_version INTEGER NOT NULL,
    roles       TEXT NOT NULL,
    key_pattern TEXT,
    expires     INTEGER,
    created     INTEGER NOT NULL,
    revoked_at  INTEGER,
    mac         BLOB NOT NULL,
    UNIQUE (provider, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE denies (
    provider TEXT NOT NULL,
    kind     TEXT NOT NULL,
    value    TEXT NOT NULL,
    row_id   BLOB NOT NULL,
    reason   TEXT NOT NULL,
    at       INTEGER NOT NULL,
    author   TEXT NOT NULL,
    mac      BLOB NOT NULL,
    PRIMARY KEY (provider, kind, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE marks (
    id          TEXT PRIMARY KEY,
    row_id      BLOB NOT NULL,
    row_version INTEGER NOT NULL,
    value       INTEGER NOT NULL,
    mac         BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE service_keys (
    provider     TEXT NOT NULL,
    purpose      TEXT NOT NULL,
    number       INTEGER NOT NULL,
    kid          TEXT NOT NULL,
    row_id       BLOB NOT NULL,
    created      INTEGER NOT NULL,
    key_type     TEXT NOT NULL,
    certificates BLOB NOT NULL,
    public       TEXT NOT NULL,
    data_key     BLOB NOT NULL,
    material     BLOB NOT NULL,
    mac          BLOB NOT NULL,
    PRIMARY KEY (provider, purpose, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE challenges (
    digest BLOB PRIMARY KEY,
    until  INTEGER NOT NULL,
    mac    BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE answers (
    request BLOB PRIMARY KEY,
    body    BLOB NOT NULL,
    until   INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    hash    BLOB NOT NULL,
    at      INTEGER NOT NULL,
    answer  BLOB NOT NULL,
    mac     BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    jti   BLOB PRIMARY KEY,
    at    INTEGER NOT NULL,
    until INTEGER NOT NULL,
    mac   BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX challenges_until ON challenges (until);
CREATE INDEX answers_until ON answers (until);
CREATE INDEX sessions_until ON sessions (until);

CREATE TABLE purged (
    row_id   BLOB PRIMARY KEY,
    provider TEXT NOT NULL,
    name     TEXT NOT NULL,
    at       INTEGER NOT NULL,
    mac      BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
    seq      INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    provider TEXT NOT NULL,
    body     TEXT NOT NULL,
    previous BLOB NOT NULL,
    hash     BLOB NOT NULL,
    mac      BLOB NOT NULL
) STRICT;
