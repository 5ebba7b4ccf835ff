//! Peer notification: when the engine asks for the packets that tell the network beyond a bond
//! where addresses are now, and how often it repeats that.

use std::time::Duration;

use serde::Serialize;
use wire::Time;

/// Which packets announce an address, and which addresses are announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NotifyPackets {
    /// Reverse ARP requests (RFC 903) for addresses without a known protocol address.
    pub rarp: bool,
    /// ARP announcements (RFC 5227 section 3) for the IPv4 addresses of the host's own ports.
    pub arp: bool,
    /// Unsolicited neighbour advertisements (RFC 4861 section 7.2.6) for the IPv6 addresses of the
    /// host's own ports.
    pub nd: bool,
    /// RARP also for addresses that the bridge knows from its configuration: of its internal ports
    /// and of `external_ids:attached-mac`. Otherwise for learned ones only, as Open vSwitch does.
    pub configured: bool,
}

impl Default for NotifyPackets {
    /// Open vSwitch's: RARP for learned addresses.
    fn default() -> NotifyPackets {
        NotifyPackets { rarp: true, arp: false, nd: false, configured: false }
    }
}

impl NotifyPackets {
    /// Nothing is to be sent.
    pub fn is_empty(&self) -> bool {
        !(self.rarp || self.arp || self.nd)
    }
}

/// `bond-notify`, `bond-notify-count` and `bond-notify-interval`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotifyConfig {
    /// `bond-notify`.
    pub packets: NotifyPackets,
    /// How often each address is announced after traffic has moved, 0 to 255; 0 = never. Linux
    /// calls it `num_grat_arp` and `num_unsol_na`.
    pub count: u8,
    /// From one announcement to the next, at least 1 ms. Linux calls it `peer_notif_delay`.
    pub interval: Duration,
}

impl Default for NotifyConfig {
    /// Once, as Open vSwitch.
    fn default() -> NotifyConfig {
        NotifyConfig {
            packets: NotifyPackets::default(),
            count: 1,
            interval: Duration::from_millis(200),
        }
    }
}

/// The announcements that are still to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Repetition {
    /// None.
    #[default]
    Done,
    /// `left` more, the first of them at `at`.
    Due { left: u8, at: Time },
}

impl Repetition {
    /// When the next announcement is due.
    pub(crate) fn deadline(self) -> Option<Time> {
        match self {
            Repetition::Done => None,
            Repetition::Due { at, .. } => Some(at),
        }
    }

    /// The state after an event at `now`, and whether to announce now. `moved`: traffic has moved,
    /// which starts the series anew.
    pub(crate) fn next(self, now: Time, moved: bool, config: &NotifyConfig) -> (Repetition, bool) {
        let most = config.count.saturating_sub(1);
        let left = match self {
            _ if moved && config.count > 0 => most,
            // The count may have become smaller.
            Repetition::Due { left, at } if at <= now && config.count > 0 => (left - 1).min(most),
            Repetition::Due { left, at } if left.min(most) > 0 => {
                return (Repetition::Due { left: left.min(most), at }, false);
            }
            Repetition::Due { .. } | Repetition::Done => return (Repetition::Done, false),
        };
        // From now: announcements that a late driver has missed are not sent in a burst.
        let at = now + config.interval.max(Duration::from_millis(1));
        let next = if left == 0 { Repetition::Done } else { Repetition::Due { left, at } };
        (next, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(count: u8) -> NotifyConfig {
        NotifyConfig { count, interval: Duration::from_millis(50), ..NotifyConfig::default() }
    }

    fn ms(n: u64) -> Time {
        Time::from_millis(n)
    }

    #[test]
    fn default_announces_once() {
        let (r, now) = Repetition::Done.next(ms(7), true, &NotifyConfig::default());
        assert_eq!((r, now), (Repetition::Done, true));
        assert_eq!(r.next(ms(8), false, &NotifyConfig::default()), (Repetition::Done, false));
    }

    #[test]
    fn count_repeats_at_interval() {
        let c = config(3);
        let (r, now) = Repetition::Done.next(ms(0), true, &c);
        assert_eq!((r.deadline(), now), (Some(ms(50)), true));
        let (r, now) = r.next(ms(20), false, &c);
        assert_eq!((r.deadline(), now), (Some(ms(50)), false));
        let (r, now) = r.next(ms(50), false, &c);
        assert_eq!((r.deadline(), now), (Some(ms(100)), true));
        // A late driver.
        assert_eq!(r.next(ms(400), false, &c), (Repetition::Done, true));
    }

    #[test]
    fn another_move_starts_anew() {
        let c = config(2);
        let (r, _) = Repetition::Done.next(ms(0), true, &c);
        let (r, now) = r.next(ms(30), true, &c);
        assert_eq!((r.deadline(), now), (Some(ms(80)), true));
        assert_eq!(r.next(ms(80), false, &c), (Repetition::Done, true));
    }

    #[test]
    fn smaller_count_ends_the_series() {
        let (r, _) = Repetition::Done.next(ms(0), true, &config(255));
        assert_eq!(r, Repetition::Due { left: 254, at: ms(50) });
        assert_eq!(r.next(ms(10), false, &config(2)).0, Repetition::Due { left: 1, at: ms(50) });
        assert_eq!(r.next(ms(10), false, &config(1)), (Repetition::Done, false));
        assert_eq!(r.next(ms(60), false, &config(0)), (Repetition::Done, false));
        assert_eq!(Repetition::Done.next(ms(0), true, &config(0)), (Repetition::Done, false));
    }
}
