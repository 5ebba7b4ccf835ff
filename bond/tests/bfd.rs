//! BFD between two sessions.

mod common;

use bond::monitor::bfd::{Config, Effect, Event, Session, next_state};
use common::ms;
use proptest::prelude::*;
use wire::Time;
use wire::bfd::{Packet, PacketError, State};

fn config(min_tx: u64, min_rx: u64) -> Config {
    Config { min_tx: ms(min_tx), min_rx: ms(min_rx), ..Config::new("p0") }
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
                        self.ends[1 - from].handle(self.now, Event::Packet { payload, ttl: 255 });
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
fn next_state_every_input_matches_rfc() {
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
fn sessions_come_up_and_expire_on_silence() {
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
fn transmission_is_jittered_and_slow_while_down() {
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
fn interval_change_while_up_runs_poll_sequence() {
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
fn cpath_down_stops_remote_forwarding() {
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
fn bfd_show_matches_ovs() {
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
    assert_eq!(session.column().pairs()[5], ("state", "down".to_owned()));
}

#[test]
fn invalid_packets_are_discarded() {
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
    session.handle(now, Event::Packet { payload: other, ttl: 255 });
    assert_eq!(session.status(now).remote_discriminator, 0);
}

/// A session that is up, and whose other end may fall silent.
fn up(config: Config) -> Pair {
    let mut pair =
        Pair::new(config, Config { min_tx: ms(300), min_rx: ms(300), ..Config::new("p1") });
    pair.wait(5000);
    assert_eq!(pair.forwarding(), [true, true]);
    pair
}

#[test]
fn forwarding_if_rx_keeps_link_forwarding_for_limited_time() {
    let config = Config { forwarding_if_rx: true, ..config(300, 300) };
    let mut pair = up(config);
    assert!(pair.ends[0].wants_traffic());
    pair.deaf[0] = true;
    let mut packets = 1000;
    for _ in 0..40 {
        packets += 1;
        pair.ends[0].handle(pair.now, Event::Traffic { rx_packets: packets });
        pair.wait(250);
    }
    assert_eq!(pair.states()[0], State::Down);
    assert_eq!(pair.forwarding(), [true, false], "the traffic is heard");
    // Traffic stops: two seconds after the last packet.
    pair.wait(1749);
    assert!(pair.ends[0].forwarding());
    pair.wait(1);
    assert!(!pair.ends[0].forwarding(), "now for 2000 ms nothing was heard");
    // And no traffic helps for longer than 100 min_rx without a control packet.
    for _ in 0..100 {
        packets += 1;
        pair.ends[0].handle(pair.now, Event::Traffic { rx_packets: packets });
        pair.wait(250);
    }
    assert!(!pair.ends[0].forwarding(), "30 s are over");
    // Not configured any more.
    pair.deaf[0] = false;
    pair.wait(5000);
    assert!(pair.ends[0].forwarding());
    pair.ends[0].handle(pair.now, Event::Configure(Box::new(self::config(300, 300))));
    pair.deaf[0] = true;
    for _ in 0..10 {
        packets += 1;
        pair.ends[0].handle(pair.now, Event::Traffic { rx_packets: packets });
        pair.wait(250);
    }
    assert!(!pair.ends[0].forwarding());
}

#[test]
fn decay_min_rx_idle_link_slows_down() {
    let config = Config { decay_min_rx: ms(3000), ..config(300, 300) };
    let mut pair = Pair::new(config.clone(), Config { min_tx: ms(500), ..Config::new("p1") });
    let min_rx = |pair: &Pair| pair.ends[0].status(pair.now).min_rx_ms;
    // Only control packets come: the counter grows with them.
    for _ in 0..40 {
        let rx_packets = pair.sent[1].len() as u64;
        pair.ends[0].handle(pair.now, Event::Traffic { rx_packets });
        pair.wait(500);
    }
    let mut packets = pair.sent[1].len() as u64;
    assert_eq!(pair.forwarding(), [true, true]);
    assert_eq!(min_rx(&pair), 3000);
    assert!(pair.ends[1].status(pair.now).tx_interval_ms >= 3000);
    // Traffic.
    for _ in 0..20 {
        packets += 50;
        pair.ends[0].handle(pair.now, Event::Traffic { rx_packets: packets });
        pair.wait(500);
    }
    assert_eq!(min_rx(&pair), 300);
    // Idle again, then not configured.
    pair.wait(10_000);
    assert_eq!(min_rx(&pair), 3000);
    let off = Config { decay_min_rx: ms(0), ..config.clone() };
    pair.ends[0].handle(pair.now, Event::Configure(Box::new(off)));
    pair.wait(10_000);
    assert_eq!((min_rx(&pair), pair.forwarding()), (300, [true, true]));
    // Less than min_rx is none at all.
    let less = Config { decay_min_rx: ms(299), ..config };
    pair.ends[0].handle(pair.now, Event::Configure(Box::new(less)));
    pair.wait(20_000);
    assert_eq!((min_rx(&pair), pair.ends[0].wants_traffic()), (300, false));
}

#[test]
fn override_command_replaces_detected_state() {
    let mut pair = up(config(300, 300));
    let flaps = pair.ends[0].status(pair.now).flap_count;
    for forced in [false, true] {
        pair.ends[0].handle(pair.now, Event::Override(Some(forced)));
        let mut told = Vec::new();
        while let Some(effect) = pair.ends[0].poll_effect() {
            told.push(effect);
        }
        assert_eq!(told, [Effect::Forwarding(forced)]);
        let status = pair.ends[0].status(pair.now);
        assert_eq!((status.forwarding, status.forced, status.flap_count), (forced, true, flaps));
    }
    // The link dies meanwhile; that counts only afterwards.
    pair.deaf = [true, true];
    pair.wait(5000);
    assert!(pair.ends[0].forwarding());
    pair.ends[0].handle(pair.now, Event::Override(None));
    assert_eq!(pair.ends[0].poll_effect(), Some(Effect::Forwarding(false)));
    assert_eq!(pair.ends[0].status(pair.now).flap_count, flaps + 1);
}

#[test]
fn packets_with_low_ttl_are_counted_and_dropped() {
    let now = Time::from_millis(5000);
    let mut session = Session::new(now, config(100, 100), 1, 7);
    let Some(Effect::Send(good)) = session.poll_effect() else { panic!("sends at once") };
    session.handle(now, Event::Packet { payload: good.clone(), ttl: 254 });
    assert_eq!((session.status(now).state, session.status(now).discarded), (State::Down, 1));
    session.handle(now, Event::Packet { payload: good, ttl: 255 });
    assert_eq!((session.status(now).state, session.status(now).discarded), (State::Init, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_events_never_panic_or_spin(
        packets in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..30), any::<bool>(), 0..5_000_000u64),
            1..40,
        ),
        tx in any::<u64>(), rx in any::<u64>(), decay_min_rx in any::<u64>(), if_rx in any::<bool>(),
    ) {
        let mut now = Time::ZERO;
        let config = Config { decay_min_rx: ms(decay_min_rx), forwarding_if_rx: if_rx, ..config(tx, rx) };
        let mut session = Session::new(now, config, 1, 7);
        for (mut payload, plausible, pause) in packets {
            if plausible && payload.len() >= 24 {
                payload[0] = 0x20;
                payload[1] &= !0x05;
                payload[3] = 24;
                payload[8..12].copy_from_slice(&1u32.to_be_bytes());
            }
            session.handle(now, Event::Packet { payload, ttl: 255 });
            session.handle(now, Event::Traffic { rx_packets: pause });
            session.handle(now, Event::Override((pause % 3 == 0).then_some(plausible)));
            session.handle(now, Event::Deadline);
            prop_assert!(session.next_deadline() > now);
            prop_assert!(session.status(now).render_show().len() > 100);
            while session.poll_effect().is_some() {}
            now = now + std::time::Duration::from_micros(pause);
        }
    }
}
