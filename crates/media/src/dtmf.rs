//! RFC 4733 digits, both ways, as state machines on packets and ticks. No clock, no socket.

use std::collections::VecDeque;

use crate::wire::Event;

/// Digits by event code.
const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

/// The event code of a digit.
pub fn code_of(digit: char) -> Option<u8> {
    let digit = digit.to_ascii_uppercase();
    DIGITS.iter().position(|d| *d == digit).map(|code| code as u8)
}

/// Hears events and names each digit once, at the first packet of it that arrives: its updates, its three end packets,
/// late and doubled packets are silent; a lost end loses nothing, for the next digit has another timestamp.
#[derive(Default)]
pub struct DigitReceiver {
    current: Option<Current>,
}

#[derive(Clone, Copy)]
struct Current {
    code: u8,
    /// RTP timestamp of the event (or of its latest segment).
    timestamp: u32,
    duration: u16,
    ended: bool,
}

impl DigitReceiver {
    /// Forgets the event in progress: another stream begins.
    pub fn reset(&mut self) {
        self.current = None;
    }

    /// A packet of the event payload type; the digit, if it begins one.
    pub fn hear(&mut self, timestamp: u32, marker: bool, event: Event) -> Option<char> {
        let begins = match &mut self.current {
            None => true,
            Some(current) => {
                let since = timestamp.wrapping_sub(current.timestamp) as i32;
                if since == 0 && current.code == event.code {
                    current.duration = current.duration.max(event.duration);
                    current.ended |= event.end;
                    return None;
                }
                // A packet of an event before this one. A clock that went far back is a stream that started again.
                if (-80_000..0).contains(&since) && !marker {
                    return None;
                }
                current.code != event.code || current.ended || marker || !continues(*current, since)
            }
        };
        self.current = Some(Current { code: event.code, timestamp, duration: event.duration, ended: event.end });
        if begins { DIGITS.get(usize::from(event.code)).copied() } else { None }
    }
}

/// Whether a packet `since` after an event's own timestamp is still that event: the next segment of one longer than a
/// duration can say (§2.5.1.3), or a sender that moves the timestamp with every update. A new press of the same key
/// cannot begin so soon: Q.24 asks for 40 ms of tone and 40 ms of pause.
fn continues(current: Current, since: i32) -> bool {
    let duration = i32::from(current.duration);
    let segment = current.duration >= 0xF000 && (duration - 1_600..=duration + 1_600).contains(&since);
    segment || (1..=400).contains(&since)
}

/// What a tick of the sender sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPacket {
    /// The payload.
    pub event: Event,
    /// It is the first of its event.
    pub first: bool,
}

/// Presses digits: a packet each 20 ms while it lasts, three times the end (§2.5.1.4), then a pause.
pub struct DigitSender {
    queue: VecDeque<(u8, u32)>,
    current: Option<Press>,
}

struct Press {
    code: u8,
    /// Ticks of 20 ms that have been sent, and of how many.
    sent: u32,
    ticks: u32,
}

impl DigitSender {
    const QUEUE: usize = 32;
    const TICK: u32 = 160;
    const ENDS: u32 = 3;
    /// Silence after a digit: 40 ms beyond the end packets.
    const PAUSE: u32 = 2;

    pub fn new() -> Self {
        Self { queue: VecDeque::with_capacity(Self::QUEUE), current: None }
    }

    /// Queues a digit; false if it is none or the queue is full.
    pub fn press(&mut self, digit: char, duration_ms: u32) -> bool {
        match code_of(digit) {
            Some(code) if self.queue.len() < Self::QUEUE => {
                self.queue.push_back((code, duration_ms.clamp(40, 6_000).div_ceil(20)));
                true
            }
            _ => false,
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.current = None;
    }

    /// Whether it wants the stream to itself.
    pub fn active(&self) -> bool {
        self.current.is_some() || !self.queue.is_empty()
    }

    /// One tick of 20 ms: what to send, if anything.
    pub fn tick(&mut self) -> Option<EventPacket> {
        if self.current.is_none() {
            let (code, ticks) = self.queue.pop_front()?;
            self.current = Some(Press { code, sent: 0, ticks });
        }
        let press = self.current.as_mut()?;
        press.sent += 1;
        let packet = (press.sent < press.ticks + Self::ENDS).then(|| EventPacket {
            event: Event {
                code: press.code,
                end: press.sent >= press.ticks,
                volume: 10,
                duration: (press.sent.min(press.ticks) * Self::TICK) as u16,
            },
            first: press.sent == 1,
        });
        if press.sent >= press.ticks + Self::ENDS - 1 + Self::PAUSE {
            self.current = None;
        }
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(code: u8, duration: u16, end: bool) -> Event {
        Event { code, end, volume: 10, duration }
    }

    #[test]
    fn updates_ends_and_doubles_are_one_digit() {
        let mut r = DigitReceiver::default();
        assert_eq!(r.hear(1_000, true, event(5, 160, false)), Some('5'));
        for i in 2..10 {
            assert_eq!(r.hear(1_000, false, event(5, i * 160, false)), None);
        }
        for _ in 0..3 {
            assert_eq!(r.hear(1_000, false, event(5, 1_600, true)), None);
        }
        assert_eq!(r.hear(4_000, true, event(5, 160, false)), Some('5'), "the same key again");
        assert_eq!(r.hear(1_000, false, event(5, 1_600, true)), None, "an end of the first, late");
    }

    #[test]
    fn lost_ends_and_lost_starts_lose_no_digit() {
        let mut r = DigitReceiver::default();
        assert_eq!(r.hear(0, true, event(1, 160, false)), Some('1'));
        assert_eq!(r.hear(2_000, true, event(2, 160, false)), Some('2'), "no end of 1 came");
        assert_eq!(r.hear(4_000, false, event(3, 800, true)), Some('3'), "only an end came");
        assert_eq!(r.hear(4_000, false, event(3, 800, true)), None);
        assert_eq!(r.hear(6_000, false, event(3, 320, false)), Some('3'), "its marker was lost");
    }

    #[test]
    fn a_long_press_in_segments_is_one_digit() {
        let mut r = DigitReceiver::default();
        assert_eq!(r.hear(0, true, event(11, 160, false)), Some('#'));
        assert_eq!(r.hear(0, false, event(11, 0xFFFF, false)), None);
        assert_eq!(r.hear(0xFFFF, false, event(11, 160, false)), None);
        assert_eq!(r.hear(0xFFFF, false, event(11, 320, true)), None);
    }

    #[test]
    fn a_sender_that_moves_the_timestamp_presses_once() {
        let mut r = DigitReceiver::default();
        assert_eq!(r.hear(0, true, event(7, 160, false)), Some('7'));
        for i in 1..8u32 {
            assert_eq!(r.hear(i * 160, false, event(7, 160, false)), None);
        }
    }

    #[test]
    fn a_clock_that_started_again_hides_no_digit() {
        let mut r = DigitReceiver::default();
        for timestamp in [0x9000_0000, 0x1000_0000, 0x0100_0000, 0x8100_0000, 500] {
            assert_eq!(r.hear(timestamp, false, event(4, 160, false)), Some('4'), "{timestamp:#x}");
        }
    }

    #[test]
    fn flash_and_unknown_events_are_no_digits() {
        let mut r = DigitReceiver::default();
        assert_eq!(r.hear(0, true, event(16, 160, false)), None);
        assert_eq!(r.hear(900, true, event(200, 160, false)), None);
        assert_eq!(r.hear(1_800, true, event(15, 160, false)), Some('D'));
    }

    #[test]
    fn a_press_is_start_updates_three_ends_and_a_pause() {
        let mut s = DigitSender::new();
        assert!(s.press('d', 100) && s.press('1', 40) && !s.press('x', 100));
        let sent: Vec<_> = (0..9).map(|_| s.tick()).collect();
        let d = |duration, end, first| Some(EventPacket { event: event(15, duration, end), first });
        assert_eq!(
            sent,
            [
                d(160, false, true),
                d(320, false, false),
                d(480, false, false),
                d(640, false, false),
                d(800, true, false),
                d(800, true, false),
                d(800, true, false),
                None,
                None
            ]
        );
        assert_eq!(s.tick().map(|p| (p.event.code, p.first)), Some((1, true)));
        while s.active() {
            s.tick();
        }
    }

    #[test]
    fn what_one_sends_the_other_hears() {
        let (mut s, mut r, mut heard) = (DigitSender::new(), DigitReceiver::default(), String::new());
        let pressed = "0011*#*#99AABBCD";
        assert!(pressed.chars().all(|digit| s.press(digit, 60)));
        let (mut now, mut began) = (0u32, 0);
        while s.active() {
            if let Some(packet) = s.tick() {
                if packet.first {
                    began = now;
                }
                heard.extend(r.hear(began, packet.first, packet.event));
            }
            now += 160;
        }
        assert_eq!(heard, pressed);
    }
}
