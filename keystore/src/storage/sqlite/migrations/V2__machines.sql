-- Machines that prove themselves by a TPM. Rows of all three tables are counted in the accumulator of `head`.

CREATE TABLE enrolments (
    provider    TEXT NOT NULL,
    machine     TEXT NOT NULL,
    row_id      BLOB NOT NULL,
    row_version INTEGER NOT NULL,
    ak_name     BLOB NOT NULL,
    ak_public   BLOB NOT NULL,
    ek          BLOB NOT NULL CHECK (length(ek) = 32),
    certificate BLOB CHECK (length(certificate) = 32),
    anchor      TEXT NOT NULL,
    owner       TEXT NOT NULL,
    enrolled    INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    mac         BLOB NOT NULL,
    PRIMARY KEY (provider, machine),
    UNIQUE (provider, ak_name),
    UNIQUE (provider, ek)
) STRICT, WITHOUT ROWID;

CREATE TABLE endorsement_keys (
    provider TEXT NOT NULL,
    ek       BLOB NOT NULL CHECK (length(ek) = 32),
    row_id   BLOB NOT NULL,
    reason   TEXT NOT NULL,
    at       INTEGER NOT NULL,
    author   TEXT NOT NULL,
    mac      BLOB NOT NULL,
    PRIMARY KEY (provider, ek)
) STRICT, WITHOUT ROWID;

CREATE TABLE clocks (
    provider      TEXT NOT NULL,
    ak_name       BLOB NOT NULL,
    row_id        BLOB NOT NULL,
    row_version   INTEGER NOT NULL,
    reset_count   INTEGER NOT NULL,
    restart_count INTEGER NOT NULL,
    clock         BLOB NOT NULL CHECK (length(clock) = 8),
    seen          INTEGER NOT NULL,
    mac           BLOB NOT NULL,
    PRIMARY KEY (provider, ak_name)
) STRICT, WITHOUT ROWID;

CREATE INDEX clocks_seen ON clocks (provider, seen);
