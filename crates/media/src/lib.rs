//! The media plane: RTP ports, jitter buffer, DTMF, player, taps, bridge. Audio never waits here.
