-- Callers who were promised a call: the place in line, the briefing, the number. A promise outlives the process that made it.
CREATE TABLE tickets (
    id     TEXT PRIMARY KEY NOT NULL,
    ticket TEXT NOT NULL
) STRICT;
