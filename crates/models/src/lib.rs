//! Speech models: the list, fetching with resume, conversion, verification.
