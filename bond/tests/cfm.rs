//! Continuity checks between maintenance points.

mod common;

use bond::Level;
use bond::monitor::cfm::{CcmVlan, Config, Effect, Event, Faults, Session};
use common::ms;
use proptest::prelude::*;
use wire::ccm::{self, Ccm};
use wire::{EthAddr, Time};

const MAC: EthAddr = EthAddr([2, 0, 0, 0, 0, 9]);

fn config(mpid: u64, interval: u64) -> Config {
    Config { interval: ms(interval), ..Config::new(&format!("p{mpid}"), mpid) }
}

fn extended(mpid: u64, interval: u64) -> Config {
    Config { extended: true, ..config(mpid, interval) }
}

/// Points on one wire, each of which may be deaf; and which message of ten is lost.
struct Wire {
    now: Time,
    points: Vec<Session>,
    deaf: Vec<bool>,
    lost: Vec<u64>,
    sent: Vec<(Time, usize, Ccm)>,
    told: Vec<Vec<bool>>,
    log: Vec<(Level, String)>,
}

impl Wire {
    fn new(configs: &[Config]) -> Wire {
        let now = Time::from_millis(1_000_000);
        let points: Vec<Session> =
            (7..).zip(configs).map(|(r, c)| Session::new(now, c.clone(), r)).collect();
        let n = points.len();
        let mut wire = Wire {
            now,
            points,
            deaf: vec![false; n],
            lost: Vec::new(),
            sent: Vec::new(),
            told: vec![Vec::new(); n],
            log: Vec::new(),
        };
        wire.deliver();
        wire
    }

    fn deliver(&mut self) {
        for from in 0..self.points.len() {
            while let Some(effect) = self.points[from].poll_effect() {
                match effect {
                    Effect::Up(up) => self.told[from].push(up),
                    Effect::Notice(n) => self.log.push((n.level, n.text)),
                    Effect::Send { destination, payload, .. } => {
                        let ccm = Ccm::parse(&payload).unwrap();
                        let lost = self.lost.contains(&(u64::from(ccm.seq) % 10));
                        self.sent.push((self.now, from, ccm));
                        for to in (0..self.points.len()).filter(|&to| to != from && !lost) {
                            if !self.deaf[to] {
                                let payload = payload.clone();
                                let frame = Event::Frame { destination, source: MAC, payload };
                                self.points[to].handle(self.now, frame);
                            }
                        }
                    }
                }
            }
        }
    }

    fn wait(&mut self, millis: u64) {
        let end = self.now + ms(millis);
        while let Some(next) = self.points.iter().map(Session::next_deadline).min()
            && next <= end
        {
            self.now = next;
            for p in &mut self.points {
                p.handle(next, Event::Deadline);
                assert!(p.next_deadline() > next, "it does not get on");
            }
            self.deliver();
        }
        self.now = end;
    }

    fn faults(&self) -> Vec<String> {
        self.points.iter().map(|p| p.columns().faults.to_string()).collect()
    }

    fn up(&self) -> Vec<bool> {
        self.points.iter().map(Session::up).collect()
    }
}

#[test]
fn points_come_up_and_report_silence() {
    let mut wire = Wire::new(&[config(1, 100), config(2, 100)]);
    // Innocent until the first check.
    assert_eq!(wire.up(), [true, true]);
    wire.wait(10_000);
    assert_eq!((wire.up(), wire.faults()), (vec![true, true], vec![String::new(); 2]));
    assert_eq!(wire.points[0].columns().remote_mpids, [2]);
    assert_eq!(wire.points[0].columns().health, Some(100));
    assert!(wire.told.iter().all(Vec::is_empty), "nothing has changed: {:?}", wire.told);
    // Each interval one message, in order.
    let mine: Vec<_> = wire.sent.iter().filter(|s| s.1 == 0).collect();
    assert!(
        mine.windows(2).all(|w| w[1].0.since(w[0].0) == ms(100) && w[1].2.seq == w[0].2.seq + 1)
    );

    // One direction is dead: the one hears nothing, the other is told so.
    wire.deaf[0] = true;
    wire.wait(800);
    assert_eq!(wire.up(), [false, true]);
    assert_eq!(wire.faults()[0], "recv");
    wire.wait(800);
    assert_eq!(wire.faults(), ["recv", "rdi"]);
    assert_eq!(wire.told, [vec![false], vec![false]]);

    wire.deaf[0] = false;
    wire.wait(2000);
    assert_eq!((wire.up(), wire.faults()), (vec![true, true], vec![String::new(); 2]));
    let flaps: Vec<u64> = wire.points.iter().map(|p| p.columns().flap_count).collect();
    assert_eq!(flaps, [2, 2]);
    assert!(wire.log.iter().any(|l| l.1 == "p1: CFM faults changed from [] to [recv]."));
}

#[test]
fn silence_is_detected_within_seven_intervals() {
    for phase in 0..10 {
        let mut wire = Wire::new(&[config(1, 100), config(2, 100)]);
        wire.wait(5000 + phase * 35);
        wire.deaf = vec![true, true];
        let cut = wire.now;
        while wire.up() != [false, false] {
            wire.wait(1);
        }
        assert!(wire.now.since(cut) <= ms(700), "{:?}", wire.now.since(cut));
    }
}

#[test]
fn partial_loss_lowers_health_without_fault() {
    let mut wire = Wire::new(&[config(1, 100), config(2, 100)]);
    wire.lost = vec![0, 5];
    wire.wait(20_000);
    assert_eq!(wire.up(), [true, true]);
    let health = wire.points[0].columns().health.unwrap();
    assert!((70..90).contains(&health), "{health}");
    assert!(wire.log.iter().any(|l| l.1.contains("sequence numbers")));
}

#[test]
fn interval_is_rounded_to_coded_value() {
    let shown = |c: Config| {
        let now = Time::from_millis(1);
        let mut s = Session::new(now, c, 1);
        let Some(Effect::Send { payload, .. }) = s.poll_effect() else { panic!("sends at once") };
        let ccm = Ccm::parse(&payload).unwrap();
        (s.status(now).interval_ms, ccm.interval, ccm.interval_ms)
    };
    for (asked, ms, code) in [
        (1, 3, 1),
        (9, 3, 1),
        (10, 10, 2),
        (300, 100, 3),
        (1000, 1000, 4),
        (59_999, 10_000, 5),
        (60_000, 60_000, 6),
        (1 << 40, 600_000, 7),
    ] {
        assert_eq!(shown(config(1, asked)), (ms, code, 0), "{asked}");
    }
    assert_eq!(shown(extended(1, 300)), (300, 0, 300));
    assert_eq!(shown(extended(1, 1000)), (1000, 4, 0));
    assert_eq!(shown(extended(1, 100_000)), (65_535, 0, 65_535));
}

#[test]
fn remote_opstate_down_brings_link_down() {
    let down = Config { opup: false, ..extended(2, 300) };
    let mut wire = Wire::new(&[extended(1 << 40, 300), down.clone()]);
    wire.wait(3000);
    assert_eq!((wire.up(), wire.faults()), (vec![false, true], vec![String::new(); 2]));
    assert_eq!(wire.points[0].columns().remote_opup, Some(false));
    assert_eq!(wire.points[1].columns().remote_mpids, [1 << 40]);
    let fit = Config { opup: true, ..down };
    wire.points[1].handle(wire.now, Event::Configure(Box::new(fit)));
    wire.wait(3000);
    assert_eq!((wire.up(), wire.told[0].clone()), (vec![true, true], vec![false, true]));
}

#[test]
fn extended_and_standard_modes_ignore_each_other() {
    let mut wire = Wire::new(&[extended(1, 1000), config(2, 1000)]);
    wire.wait(8000);
    assert_eq!(wire.faults(), ["recv", "recv"]);
}

#[test]
fn health_with_three_points_is_undefined() {
    let mut wire = Wire::new(&[config(1, 100), config(2, 100), config(3, 100)]);
    wire.wait(10_000);
    assert_eq!(wire.up(), [true; 3]);
    assert_eq!(wire.points[0].columns().health, None);
    assert_eq!(wire.points[0].columns().remote_mpids, [2, 3]);
}

#[test]
fn own_mpid_and_foreign_maid_are_faults() {
    let mut wire = Wire::new(&[config(7, 100), config(7, 100)]);
    wire.wait(1000);
    assert_eq!(wire.faults(), ["loopback", "loopback"]);

    let mut wire = Wire::new(&[config(1, 100), config(2, 100)]);
    wire.wait(1000);
    let mut stranger = wire.sent[0].2.clone();
    stranger.maid[5] ^= 1;
    let payload = stranger.emit();
    let frame = Event::Frame { destination: ccm::DST, source: MAC, payload };
    wire.points[0].handle(wire.now, frame);
    wire.wait(350);
    assert_eq!(wire.faults(), ["maid", ""]);
    wire.wait(350);
    assert_eq!(wire.faults(), ["", ""]);
}

#[test]
fn remote_points_are_limited_to_256() {
    let mut wire = Wire::new(&[config(1, 100), config(2, 100)]);
    let model = wire.sent[0].2.clone();
    for mpid in 10..1000 {
        let payload = Ccm { mpid, ..model.clone() }.emit();
        let frame = Event::Frame { destination: ccm::DST, source: MAC, payload };
        wire.points[0].handle(wire.now, frame);
        wire.deliver();
    }
    assert_eq!(wire.points[0].status(wire.now).remotes.len(), 256);
    wire.wait(2000);
    assert_eq!(wire.points[0].columns().remote_mpids, [2], "they are gone, the real one is not");
    assert_eq!(wire.up(), [true, true]);
}

#[test]
fn demand_mode_traffic_replaces_ccms() {
    let demand = |mpid| Config { demand: true, ..extended(mpid, 300) };
    let mut wire = Wire::new(&[demand(1), demand(2)]);
    assert!(wire.points[0].wants_traffic());
    wire.wait(20_000);
    wire.deaf[0] = true;
    let mut rx_packets = 0;
    for _ in 0..200 {
        rx_packets += 1;
        wire.points[0].handle(wire.now, Event::Traffic { rx_packets });
        wire.wait(100);
    }
    assert_eq!(wire.up(), [true, true]);
    assert_eq!(wire.points[0].columns().health, Some(0));
    for _ in 0..200 {
        rx_packets += 1;
        wire.points[0].handle(wire.now, Event::Traffic { rx_packets });
        wire.wait(100);
    }
    assert_eq!(wire.faults()[0], "recv", "but not for longer than 100 intervals");
    wire.deaf[0] = false;
    wire.wait(10_000);
    assert_eq!(wire.up(), [true, true]);
    // Without traffic it is as ever.
    wire.deaf[0] = true;
    wire.wait(4000);
    assert_eq!(wire.faults()[0], "recv");
}

#[test]
fn override_command_replaces_detected_state() {
    let mut wire = Wire::new(&[config(1, 100), config(2, 100)]);
    wire.wait(3000);
    let flaps = wire.points[0].columns().flap_count;
    wire.points[0].handle(wire.now, Event::Override(Some(true)));
    assert_eq!((wire.up(), wire.faults()[0].as_str()), (vec![false, true], "override"));
    assert!(wire.points[0].status(wire.now).render_show().contains("MPID 1: fault_override\n"));
    wire.deaf[0] = true;
    wire.deliver();
    wire.points[0].handle(wire.now, Event::Override(Some(false)));
    wire.wait(3000);
    assert!(wire.points[0].up());
    wire.points[0].handle(wire.now, Event::Override(None));
    wire.deliver();
    assert_eq!((wire.up()[0], wire.told[0].clone()), (false, vec![false, true, false]));
    assert_eq!(wire.points[0].columns().flap_count, flaps + 1);
}

#[test]
fn ccm_tag_carries_vlan_and_pcp() {
    let tci = |c: Config| {
        let mut s = Session::new(Time::from_millis(1), c, 99);
        let Some(Effect::Send { tci, .. }) = s.poll_effect() else { panic!("sends at once") };
        tci
    };
    assert_eq!(tci(config(1, 100)), None);
    assert_eq!(tci(Config { pcp: 5, ..config(1, 100) }), Some(5 << 13));
    assert_eq!(tci(Config { vlan: CcmVlan::Id(100), ..config(1, 100) }), Some(100));
    let random = Config { vlan: CcmVlan::Random, pcp: 1, ..config(1, 100) };
    assert!(tci(random).is_some_and(|t| t >> 13 == 1 && t & 0x1000 == 0));
}

#[test]
fn cfm_show_matches_ovs() {
    let mut wire = Wire::new(&[extended(1, 300), extended(2, 300)]);
    wire.wait(100);
    assert_eq!(
        wire.points[0].status(wire.now).render_show(),
        "\
---- p1 ----
MPID 1: extended
  average health: undefined
  opstate: up
  remote_opstate: up
  interval: 300ms
  next CCM tx: 200ms
  next fault check: 950ms
Remote MPID 2
  recv since check: true
  opstate: up
"
    );
    wire.deaf[0] = true;
    wire.wait(3000);
    let text = wire.points[0].status(wire.now).render_show();
    assert!(text.contains("MPID 1: extended\n  fault: recv\n  average"), "{text}");
}

#[test]
fn late_transmission_is_logged() {
    let now = Time::from_millis(5000);
    let mut point = Session::new(now, config(1, 1000), 1);
    point.handle(now + ms(3000), Event::Deadline);
    let texts: Vec<String> = std::iter::from_fn(|| point.poll_effect())
        .filter_map(|e| if let Effect::Notice(n) = e { Some(n.text) } else { None })
        .collect();
    assert_eq!(texts, ["p1: long delay of 3000ms (expected 1000ms) sending CCM seq 2"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_events_never_panic_or_spin(
        frames in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..90), any::<bool>(), 0..5_000_000u64),
            1..40,
        ),
        mpid in any::<u64>(), interval in any::<u64>(), extended in any::<bool>(),
    ) {
        let mut now = Time::ZERO;
        let config = Config { interval: ms(interval), extended, demand: true, ..Config::new("p0", mpid) };
        let destination = config.destination();
        let mut point = Session::new(now, config, 1);
        for (mut payload, plausible, pause) in frames {
            if plausible && payload.len() >= 74 {
                payload[1] = 1;
                payload[10..58].copy_from_slice(&ccm::MAID);
            }
            point.handle(now, Event::Frame { destination, source: MAC, payload });
            point.handle(now, Event::Traffic { rx_packets: pause });
            point.handle(now, Event::Deadline);
            prop_assert!(point.next_deadline() > now);
            prop_assert!(point.status(now).render_show().len() > 100);
            prop_assert_eq!(point.up(), point.columns().faults == Faults::NONE
                && point.columns().remote_opup != Some(false));
            while point.poll_effect().is_some() {}
            now = now + std::time::Duration::from_micros(pause);
        }
    }
}
