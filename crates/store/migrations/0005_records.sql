-- What a conversation may check or tell beside orders: a person's attributes, who may act for them, and their tickets,
-- appointments, claims.
ALTER TABLE contacts ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}'; -- JSON object of words
ALTER TABLE contacts ADD COLUMN authorised TEXT NOT NULL DEFAULT '[]'; -- JSON list of full names

CREATE TABLE records (
    id         INTEGER PRIMARY KEY,
    kind       TEXT NOT NULL,                -- ticket, appointment, claim
    number     TEXT NOT NULL,                -- as the business writes it; empty if it has none
    number_key TEXT NOT NULL,                -- letters and digits only, see text.rs
    contact_id TEXT NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    status     TEXT NOT NULL,
    what       TEXT NOT NULL,
    due        TEXT                          -- date, or words
) STRICT;
CREATE INDEX records_by_contact ON records (contact_id);
CREATE INDEX records_by_number ON records (kind, number_key);
