//! Audio by value: 20 ms frames, clips, files, G.711, resampling. No sockets, no clock.
