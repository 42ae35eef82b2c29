-- What a location must keep to be called again as before: its preference, and its route (RFC 3261 §10.2.1.2, RFC 3327).
ALTER TABLE registrations ADD COLUMN q INTEGER NOT NULL DEFAULT 1000;
ALTER TABLE registrations ADD COLUMN path TEXT NOT NULL DEFAULT '';
