-- Remarks on cases; agents' states; what a registrar must remember of a binding (RFC 3261 section 10.3 step 7: a request
-- with an older CSeq of the same Call-ID is refused, also after a restart).

CREATE TABLE case_notes (
    key     TEXT PRIMARY KEY REFERENCES case_writes (key) ON DELETE CASCADE,
    case_id INTEGER NOT NULL REFERENCES cases (id) ON DELETE CASCADE,
    text    TEXT NOT NULL,
    at      TEXT NOT NULL
) STRICT;
CREATE INDEX case_notes_by_case ON case_notes (case_id);

CREATE INDEX contacts_by_email ON contacts (lower(email)) WHERE email IS NOT NULL;
CREATE INDEX outbox_by_call ON outbox (call_id, seq);

CREATE TABLE agents (
    extension TEXT PRIMARY KEY,
    state     TEXT NOT NULL,             -- the desk's word: ready, paused, wrap_up
    reason    TEXT,
    since     TEXT NOT NULL
) STRICT;

ALTER TABLE registrations ADD COLUMN call_id TEXT NOT NULL DEFAULT '';
ALTER TABLE registrations ADD COLUMN cseq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE registrations ADD COLUMN transport TEXT NOT NULL DEFAULT '';
ALTER TABLE registrations ADD COLUMN instance TEXT;
ALTER TABLE registrations ADD COLUMN user_agent TEXT;
