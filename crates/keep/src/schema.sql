CREATE TABLE contacts (id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT, flags TEXT NOT NULL DEFAULT '[]');
CREATE TABLE contact_phones (phone TEXT NOT NULL, contact TEXT NOT NULL REFERENCES contacts(id), PRIMARY KEY (phone, contact));
CREATE TABLE orders (
    number TEXT PRIMARY KEY, -- as written
    key TEXT NOT NULL UNIQUE, -- letters and digits only, upper case: what is searched
    contact TEXT NOT NULL REFERENCES contacts(id),
    item TEXT NOT NULL, status TEXT NOT NULL, amount_cents INTEGER NOT NULL, eta TEXT
);
CREATE INDEX orders_by_contact ON orders(contact);
CREATE TABLE calls (
    call_id TEXT PRIMARY KEY, started_at TEXT NOT NULL, ended_at TEXT, caller TEXT NOT NULL, callee TEXT NOT NULL,
    disposition TEXT, json TEXT NOT NULL
);
CREATE INDEX calls_by_start ON calls(started_at);
CREATE INDEX calls_live ON calls(call_id) WHERE ended_at IS NULL;
CREATE TABLE cases (
    call_id TEXT PRIMARY KEY, -- one case per call, whatever is retried
    id INTEGER NOT NULL UNIQUE, contact TEXT, disposition TEXT NOT NULL, summary TEXT NOT NULL, json TEXT NOT NULL,
    writes INTEGER NOT NULL DEFAULT 1, written_at TEXT NOT NULL
);
CREATE TABLE case_keys (key TEXT PRIMARY KEY, call_id TEXT NOT NULL);
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, call_id TEXT NOT NULL, payload TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts INTEGER NOT NULL DEFAULT 0, error TEXT, receipt TEXT, created_at TEXT NOT NULL
);
CREATE INDEX outbox_open ON outbox(seq) WHERE state != 'delivered';
