//! What `--version` says: the version, the commit it was built from, what is linked, and under which licences.

/// One line.
pub const SHORT: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BATON_COMMIT"), ")");

/// The line, the features, and what linking them means for who passes the binary on.
pub fn long() -> &'static str {
    if cfg!(feature = "native-speech") {
        concat!(
            env!("CARGO_PKG_VERSION"),
            " (",
            env!("BATON_COMMIT"),
            ")\n",
            "features: native-speech\n",
            "Baton's own code: MIT OR Apache-2.0\n",
            "linked: whisper.cpp (MIT), SQLite (public domain), piper-rs (MIT), espeak-ng (GPL-3.0-or-later)\n",
            "loaded at run time: onnxruntime (MIT)\n",
            "espeak-ng is linked statically, so this binary as a whole is distributed under GPL-3.0-or-later;\n",
            "built with --no-default-features it holds no GPL code (and no local speech)."
        )
    } else {
        concat!(
            env!("CARGO_PKG_VERSION"),
            " (",
            env!("BATON_COMMIT"),
            ")\n",
            "features: none (no local speech)\n",
            "Baton's own code: MIT OR Apache-2.0\n",
            "linked: SQLite (public domain)"
        )
    }
}
