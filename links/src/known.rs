//! One kernel device as the links thread believes it to be: what rtnetlink has said, and what the
//! count of carrier changes has said since.
//!
//! Three sources tell of one carrier, and any of them may be late: rtnetlink's messages (up to a
//! second), the carrier thread's readings of the count, and answers to queries. The count orders
//! them: a message or an answer with a lower count than the latest is older, and its carrier is
//! not taken.

use netdev::link::LinkInfo;

/// What an observation means to those who use the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The link is as up as before, but was down in between.
    pub(crate) dipped: bool,
    /// Something that main shows has changed.
    pub(crate) changed: bool,
    /// The kernel must be asked: what is believed was worked out, or is newer than what was said.
    pub(crate) unconfirmed: bool,
    /// Carrier changes since the last observation.
    pub(crate) resets: u64,
}

/// Whether something was heard while a query about the device was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    NoQuery,
    Nothing,
    Count,
    Message,
}

/// A device of the kernel's.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    info: LinkInfo,
    /// The count at which the kernel itself named the carrier.
    confirmed_at: u32,
    resets: u64,
    since: Since,
}

fn later(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

impl Known {
    pub(crate) fn new(info: LinkInfo) -> Known {
        let confirmed_at = info.carrier_changes;
        Known { info, confirmed_at, resets: 0, since: Since::NoQuery }
    }

    pub(crate) fn info(&self) -> &LinkInfo {
        &self.info
    }

    /// How often the carrier has changed since the device was first heard of.
    pub(crate) fn resets(&self) -> u64 {
        self.resets
    }

    /// Whether frames pass: administratively up, with carrier.
    pub(crate) fn up(&self) -> bool {
        self.info.admin_up && self.info.carrier
    }

    fn unconfirmed(&self) -> bool {
        self.confirmed_at != self.info.carrier_changes
    }

    /// rtnetlink has sent a message. They come in order, so all but the carrier is the latest.
    pub(crate) fn message(&mut self, info: LinkInfo) -> Outcome {
        if self.since != Since::NoQuery {
            self.since = Since::Message;
        }
        self.take(info)
    }

    fn take(&mut self, mut info: LinkInfo) -> Outcome {
        if later(self.info.carrier_changes, info.carrier_changes) {
            // Made before the latest reading of the count.
            info.carrier = self.info.carrier && info.admin_up;
            info.carrier_changes = self.info.carrier_changes;
        } else {
            self.confirmed_at = info.carrier_changes;
        }
        self.settle(info)
    }

    /// The carrier thread has read the count.
    pub(crate) fn counted(&mut self, changes: u32) -> Outcome {
        if changes == self.info.carrier_changes {
            return Outcome::default();
        }
        if self.since == Since::Nothing {
            self.since = Since::Count;
        }
        if !later(changes, self.info.carrier_changes) {
            // Read before the latest message, or of a device made anew.
            return Outcome { unconfirmed: true, ..Outcome::default() };
        }
        let odd = changes.wrapping_sub(self.info.carrier_changes) % 2 == 1;
        // The flags of a device that is down say nothing of the carrier.
        let carrier = self.info.admin_up && (self.info.carrier != odd);
        let info = LinkInfo { carrier, carrier_changes: changes, ..self.info.clone() };
        self.settle(info)
    }

    /// A query is posted.
    pub(crate) fn asked(&mut self) {
        self.since = Since::Nothing;
    }

    /// Its answer. One that was overtaken by a message is not taken; one that was not overtaken at
    /// all is believed, even with a lower count.
    pub(crate) fn answer(&mut self, info: LinkInfo) -> Outcome {
        let since = std::mem::replace(&mut self.since, Since::NoQuery);
        match since {
            Since::Message => Outcome { unconfirmed: self.unconfirmed(), ..Outcome::default() },
            Since::Nothing => {
                self.confirmed_at = info.carrier_changes;
                self.settle(info)
            }
            Since::NoQuery | Since::Count => self.take(info),
        }
    }

    /// The kernel says otherwise than is believed, and has for a while.
    pub(crate) fn correct(&mut self, info: LinkInfo) {
        self.confirmed_at = info.carrier_changes;
        self.settle(info);
    }

    fn settle(&mut self, info: LinkInfo) -> Outcome {
        let was_up = self.up();
        let counted = match later(info.carrier_changes, self.info.carrier_changes) {
            true => info.carrier_changes.wrapping_sub(self.info.carrier_changes),
            false => 0,
        };
        // A driver that does not count.
        let resets = u64::from(counted).max(u64::from(self.info.carrier != info.carrier));
        let changed = self.info != info;
        self.info = info;
        self.resets += resets;
        let dipped = was_up && self.up() && counted > 0;
        Outcome { dipped, changed, unconfirmed: self.unconfirmed(), resets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(admin_up: bool, carrier: bool, carrier_changes: u32) -> LinkInfo {
        LinkInfo { admin_up, carrier, carrier_changes, ifindex: 7, ..LinkInfo::default() }
    }

    fn up(changes: u32) -> LinkInfo {
        info(true, true, changes)
    }

    fn down(changes: u32) -> LinkInfo {
        info(true, false, changes)
    }

    #[test]
    fn an_odd_difference_is_the_other_state_and_the_late_message_says_nothing_new() {
        let mut k = Known::new(up(4));
        let o = k.counted(5);
        assert_eq!((k.up(), o.dipped, o.resets, o.unconfirmed), (false, false, 1, true));
        let o = k.message(down(5));
        assert_eq!((k.up(), o), (false, Outcome::default()));
        assert_eq!(k.resets(), 1);
    }

    #[test]
    fn an_even_difference_is_a_flap() {
        let mut k = Known::new(up(4));
        let o = k.counted(6);
        assert_eq!((k.up(), o.dipped, o.resets), (true, true, 2));
        // One that the count's reader missed and the kernel told of late.
        let o = k.message(up(8));
        assert_eq!((k.up(), o.dipped, o.resets, o.unconfirmed), (true, true, 2, false));
        // Of a link that is down, only the end matters.
        k.counted(9);
        assert!(!k.counted(11).dipped);
        assert!(!k.up());
    }

    #[test]
    fn a_message_from_before_the_reading_keeps_its_carrier_to_itself() {
        let mut k = Known::new(up(4));
        k.counted(5);
        let mut late = up(4);
        late.mtu = 9000;
        let o = k.message(late);
        assert_eq!((k.up(), o.unconfirmed, k.info().mtu), (false, true, 9000));
        assert!(!k.message(down(5)).unconfirmed);
    }

    #[test]
    fn an_answer_that_was_overtaken_is_not_taken() {
        let mut k = Known::new(up(4));
        k.counted(5);
        k.asked();
        k.message(info(false, false, 5));
        let o = k.answer(down(5));
        assert_eq!((k.info().admin_up, o.unconfirmed), (false, false));
        // Not overtaken: the kernel's word counts, against what was worked out.
        k.message(up(5));
        k.counted(6);
        assert!(!k.up());
        k.asked();
        assert!(k.answer(up(6)).changed);
        assert!(k.up());
    }

    #[test]
    fn a_device_that_is_down_gets_no_carrier_from_its_count() {
        let mut k = Known::new(info(false, false, 4));
        k.counted(5);
        assert!(!k.up());
        assert!(!k.message(info(true, true, 5)).dipped);
        assert!(k.up());
    }

    #[test]
    fn counts_wrap_and_drivers_need_not_count() {
        let mut k = Known::new(up(u32::MAX));
        assert_eq!((k.counted(0).resets, k.up()), (1, false));
        let mut k = Known::new(up(0));
        assert_eq!((k.message(down(0)).resets, k.up()), (1, false));
    }

    #[test]
    fn a_device_made_anew_is_asked_for_and_believed() {
        let mut k = Known::new(up(9));
        assert!(k.counted(1).unconfirmed);
        assert_eq!(k.info().carrier_changes, 9);
        k.asked();
        assert_eq!(k.answer(down(1)).resets, 1);
        assert!(!k.up());
        k.counted(2);
        assert!(k.up());
    }
}
