//! BFD between two sessions.

mod common;

use bond::monitor::bfd::packet::{Packet, PacketError, State};
use bond::monitor::bfd::{Config, Effect, Event, Session, next_state};
use common::ms;
use proptest::prelude::*;
use wire::Time;

fn config(min_tx: u64, min_rx: u64) -> Config {
    Config { name: "p0".to_owned(), min_tx, min_rx, mult: 3, cpath_down: false }
}

/// Two sessions, and a link that can be cut in each direction.
struct Pair {
    now: Time,
    ends: [Session; 2],
    deaf: [bool; 2],
    sent: [Vec<(Time, Packet)>; 2],
}

impl Pair {
    fn new(a: Config, b: Config) -> Pair {
        let now = Time::from_millis(1_000_000);
        let ends = [Session::new(now, a, 0xa, 1), Session::new(now, b, 0xb, 2)];
        let mut pair = Pair { now, ends, deaf: [false; 2], sent: [Vec::new(), Vec::new()] };
        pair.deliver();
        pair
    }

    fn deliver(&mut self) {
        for _ in 0..20 {
            for from in [0, 1] {
                while let Some(effect) = self.ends[from].poll_effect() {
                    let Effect::Send(payload) = effect else { continue };
                    self.sent[from].push((self.now, Packet::parse(&payload).unwrap()));
                    if !self.deaf[1 - from] {
                        self.ends[1 - from].handle(self.now, Event::Packet { payload });
                    }
                }
            }
        }
        assert!(self.ends.iter_mut().all(|e| e.poll_effect().is_none()), "they never stop");
    }

    fn wait(&mut self, millis: u64) {
        let end = self.now + ms(millis);
        loop {
            let next = self.ends[0].next_deadline().min(self.ends[1].next_deadline());
            if next > end {
                break;
            }
            self.now = next;
            for e in &mut self.ends {
                e.handle(next, Event::Deadline);
                assert!(e.next_deadline() > next, "it does not get on");
            }
            self.deliver();
        }
        self.now = end;
    }

    fn states(&self) -> [State; 2] {
        [0, 1].map(|i| self.ends[i].status(self.now).state)
    }

    fn forwarding(&self) -> [bool; 2] {
        [0, 1].map(|i| self.ends[i].forwarding())
    }
}

#[test]
fn every_transition() {
    let states = [State::AdminDown, State::Down, State::Init, State::Up];
    let mut out = String::new();
    for state in states {
        for remote in states {
            out += &format!("{state:?} --remote {remote:?}--> {:?}\n", next_state(state, remote));
        }
        out.push('\n');
    }
    insta::assert_snapshot!(out);
}

#[test]
fn two_sessions_come_up_and_notice_silence() {
    let mut pair = Pair::new(config(100, 200), config(300, 100));
    pair.wait(3000);
    assert_eq!(pair.states(), [State::Up, State::Up]);
    assert_eq!(pair.forwarding(), [true, true]);
    let status = pair.ends[0].status(pair.now);
    assert_eq!((status.tx_interval_ms, status.rx_interval_ms), (100, 300));

    // A hears nothing: after three intervals it gives up and says so, at once believed by B.
    pair.deaf[0] = true;
    pair.wait(599);
    assert_eq!(pair.forwarding(), [true, true]);
    pair.wait(1401);
    assert_eq!(pair.forwarding(), [false, false]);
    let [a, b] = [0, 1].map(|i| pair.ends[i].status(pair.now));
    assert_eq!(a.diag.as_str(), "Control Detection Time Expired");
    assert_eq!(b.diag.as_str(), "Neighbor Signaled Session Down");
    assert_eq!((a.flap_count, b.flap_count), (2, 2));

    pair.deaf[0] = false;
    pair.wait(4000);
    assert_eq!(pair.forwarding(), [true, true]);
}

#[test]
fn packets_are_jittered_and_rare_while_down() {
    let mut pair = Pair::new(config(100, 100), config(100, 100));
    pair.wait(3000);
    pair.sent = [Vec::new(), Vec::new()];
    pair.wait(10_000);
    let gaps = |sent: &[(Time, Packet)]| -> Vec<u128> {
        sent.windows(2).map(|w| w[1].0.since(w[0].0).as_millis()).collect()
    };
    let up = gaps(&pair.sent[0]);
    assert!(up.iter().all(|g| (75..=100).contains(g)), "{up:?}");
    assert!(up.iter().any(|&g| g < 90) && up.iter().any(|&g| g > 90), "{up:?}");

    let mut alone = Pair::new(config(100, 100), config(100, 100));
    alone.deaf = [true, true];
    alone.wait(1000);
    alone.sent = [Vec::new(), Vec::new()];
    alone.wait(20_000);
    let down = gaps(&alone.sent[0]);
    assert!(down.iter().all(|g| (750..=1000).contains(g)), "{down:?}");
}

#[test]
fn new_intervals_are_agreed_by_a_poll() {
    let mut pair = Pair::new(config(100, 100), config(100, 100));
    pair.wait(3000);
    pair.sent = [Vec::new(), Vec::new()];
    pair.ends[0].handle(pair.now, Event::Configure(Box::new(config(400, 500))));
    pair.deliver();
    pair.wait(50);
    assert!(pair.sent[0].iter().any(|p| p.1.poll));
    assert!(pair.sent[1].iter().any(|p| p.1.fin));
    assert!(pair.sent.iter().flatten().all(|p| !(p.1.poll && p.1.fin)));
    let status = pair.ends[0].status(pair.now);
    assert_eq!((status.min_tx_ms, status.min_rx_ms), (400, 500));
    pair.wait(10_000);
    assert_eq!(pair.forwarding(), [true, true], "nobody went down over it");
    assert_eq!(pair.ends[1].status(pair.now).tx_interval_ms, 500);
}

#[test]
fn a_concatenated_path_that_is_down_stops_the_other_end() {
    let down = |cpath_down| Config { cpath_down, ..config(100, 100) };
    let mut pair = Pair::new(down(true), config(100, 100));
    pair.wait(3000);
    assert_eq!(pair.states(), [State::Up, State::Up]);
    assert_eq!(pair.forwarding(), [true, false]);
    pair.ends[0].handle(pair.now, Event::Configure(Box::new(down(false))));
    pair.wait(500);
    assert_eq!(pair.forwarding(), [true, true]);
}

#[test]
fn show() {
    let now = Time::from_millis(5000);
    let session = Session::new(now, config(100, 1000), 0x1234, 7);
    let status = session.status(now + ms(10));
    let text = status.render_show();
    let next = status.next_tx_ms;
    assert_eq!(
        text,
        format!(
            "\
---- p0 ----
  Forwarding: false
  Detect Multiplier: 3
  Concatenated Path Down: false
  TX Interval: Approx 1000ms
  RX Interval: Approx 1000ms
  Detect Time: now -5010ms
  Next TX Time: now +{next}ms
  Last TX Time: now -10ms

  Local Flags: none
  Local Session State: down
  Local Diagnostic: No Diagnostic
  Local Discriminator: 0x1234
  Local Minimum TX Interval: 1000ms
  Local Minimum RX Interval: 1000ms

  Remote Flags: none
  Remote Session State: down
  Remote Diagnostic: No Diagnostic
  Remote Discriminator: 0x0
  Remote Minimum TX Interval: 0ms
  Remote Minimum RX Interval: 1ms
  Remote Detect Multiplier: 0
"
        )
    );
    assert!((740..=990).contains(&next));
    assert_eq!(status.column()[5], ("state", "down".to_owned()));
}

#[test]
fn bad_packets_are_discarded() {
    let now = Time::from_millis(5000);
    let mut session = Session::new(now, config(100, 100), 1, 7);
    let Some(Effect::Send(good)) = session.poll_effect() else { panic!("sends at once") };
    let with = |i: usize, octet: u8| {
        let mut bad = good.clone();
        bad[i] = octet;
        Packet::parse(&bad)
    };
    assert_eq!(Packet::parse(&good[..23]), Err(PacketError::TooShort(23)));
    assert_eq!(with(0, 0x40), Err(PacketError::Version(2)));
    assert_eq!(with(1, 0x44), Err(PacketError::Authenticated));
    assert_eq!(with(1, 0x41), Err(PacketError::Multipoint));
    assert_eq!(with(1, 0xc0), Err(PacketError::NoYourDiscriminator));
    assert_eq!(with(2, 0), Err(PacketError::ZeroMultiplier));
    assert_eq!(with(3, 23), Err(PacketError::Length(23)));
    assert_eq!(with(3, 25), Err(PacketError::Length(25)));
    assert_eq!(with(7, 0), Err(PacketError::NoDiscriminator));
    // For somebody else.
    let mut other = good.clone();
    other[11] = 9;
    session.handle(now, Event::Packet { payload: other });
    assert_eq!(session.status(now).remote_discriminator, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_makes_it_panic_or_spin(
        packets in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..30), any::<bool>(), 0..5_000_000u64),
            1..40,
        ),
        tx in any::<u64>(), rx in any::<u64>(),
    ) {
        let mut now = Time::ZERO;
        let mut session = Session::new(now, config(tx, rx), 1, 7);
        for (mut payload, plausible, pause) in packets {
            if plausible && payload.len() >= 24 {
                payload[0] = 0x20;
                payload[1] &= !0x05;
                payload[3] = 24;
                payload[8..12].copy_from_slice(&1u32.to_be_bytes());
            }
            session.handle(now, Event::Packet { payload });
            session.handle(now, Event::Deadline);
            prop_assert!(session.next_deadline() > now);
            prop_assert!(session.status(now).render_show().len() > 100);
            while session.poll_effect().is_some() {}
            now = now + std::time::Duration::from_micros(pause);
        }
    }
}
