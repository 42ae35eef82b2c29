-- Times are RFC 3339 in UTC, money is in the currency's hundredths.

CREATE TABLE contacts (
    id       TEXT PRIMARY KEY,
    name     TEXT NOT NULL,
    name_key TEXT NOT NULL,              -- folded, see text.rs
    email    TEXT,
    flags    TEXT NOT NULL DEFAULT '[]'  -- JSON list of words
) STRICT;
CREATE INDEX contacts_by_name ON contacts (name_key);

CREATE TABLE contact_phones (
    contact_id TEXT NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    phone      TEXT NOT NULL,            -- E.164
    position   INTEGER NOT NULL,         -- 0 is the main one
    PRIMARY KEY (contact_id, phone)
) STRICT;
CREATE INDEX contact_phones_by_phone ON contact_phones (phone);

CREATE TABLE orders (
    number_key   TEXT PRIMARY KEY,       -- letters and digits only, see text.rs
    number       TEXT NOT NULL,          -- as the shop writes it
    contact_id   TEXT NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    item         TEXT NOT NULL,
    status       TEXT NOT NULL,
    amount_cents INTEGER,
    currency     TEXT NOT NULL,
    ordered_on   TEXT,                   -- date
    eta          TEXT,                   -- date
    note         TEXT
) STRICT;
CREATE INDEX orders_by_contact ON orders (contact_id);

-- The embedded system of record: one case a call, and every write it ever took. A write's key is unique: the same write
-- sent twice has one effect.
CREATE TABLE cases (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    call_id     TEXT NOT NULL UNIQUE,
    contact_id  TEXT,
    disposition TEXT,
    trigger     TEXT,
    summary     TEXT NOT NULL,
    body        TEXT NOT NULL,           -- JSON, all of it
    closed      INTEGER NOT NULL,
    revision    INTEGER NOT NULL,        -- how many writes it took
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL
) STRICT;
CREATE INDEX cases_by_contact ON cases (contact_id);

CREATE TABLE case_writes (
    key     TEXT PRIMARY KEY,
    case_id INTEGER NOT NULL REFERENCES cases (id) ON DELETE CASCADE,
    at      TEXT NOT NULL
) STRICT;
CREATE INDEX case_writes_by_case ON case_writes (case_id);

-- rowid order is the order in which calls began.
CREATE TABLE calls (
    call_id     TEXT PRIMARY KEY,
    started_at  TEXT NOT NULL,
    ended_at    TEXT,
    caller      TEXT NOT NULL,
    callee      TEXT NOT NULL,
    disposition TEXT,
    record      TEXT NOT NULL            -- JSON
) STRICT;
CREATE INDEX calls_by_start ON calls (started_at);
CREATE INDEX calls_by_caller ON calls (caller);
CREATE INDEX calls_live ON calls (call_id) WHERE ended_at IS NULL;

CREATE TABLE outbox (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    key        TEXT NOT NULL UNIQUE,
    call_id    TEXT NOT NULL,
    step       TEXT NOT NULL,
    payload    TEXT NOT NULL,            -- JSON
    state      TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts   INTEGER NOT NULL DEFAULT 0,
    next_at    TEXT,
    last_error TEXT,
    receipt    TEXT,                     -- JSON, once delivered
    created_at TEXT NOT NULL,
    settled_at TEXT
) STRICT;
CREATE INDEX outbox_unsettled ON outbox (state, seq) WHERE state <> 'delivered';

CREATE TABLE registrations (
    aor        TEXT NOT NULL,
    contact    TEXT NOT NULL,
    source     TEXT NOT NULL,            -- address and port the REGISTER came from
    expires_at TEXT NOT NULL,
    PRIMARY KEY (aor, contact)
) STRICT;
