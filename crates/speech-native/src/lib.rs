//! The local engines: whisper.cpp, piper, Silero. A leaf: nothing but the gateway links it.
