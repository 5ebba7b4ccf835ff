//! Probes of bonds' members: sent by sockets of their own, else by the datapath, and answers taken
//! from where they come.

use std::time::Instant;

use bond::MemberId;
use datapath::PortNo;

use super::Thread;
use crate::member_index::Place;
use crate::modules::BOND;
use crate::sockets::Sent;

impl Thread {
    pub(super) fn send_probe(&mut self, name: &str, member: MemberId, frame: &[u8]) {
        let Some(port) = self.ports.get(name) else { return };
        let Some(purpose) = port.probe_purpose(member) else { return };
        let Some(device) = port.device(member) else { return };
        match self.sockets.send(&purpose, device.member.port_no, frame) {
            Sent::Done => {}
            // The device is down; the next request follows.
            Sent::Refused(e) => {
                runtime::dbg!(BOND, "{}: cannot send probe ({e})", device.member.name);
            }
            Sent::NoPath => {
                runtime::dbg!(BOND, "{}: a patch port cannot be probed", device.member.name);
            }
        }
    }

    /// An answer to a probe that came by the datapath. A member with a socket has received it there.
    pub(super) fn probe_answer(&mut self, port_no: PortNo, frame: &[u8]) {
        let now = self.now();
        let Some(Place { port, member }) = self.members.by_port_no(port_no).cloned() else {
            return;
        };
        let Some(driver) = self.ports.get_mut(&port) else { return };
        if driver.probe_purpose(member).is_some_and(|p| !self.sockets.is_open(&p)) {
            driver.neighbour(now, member, frame, None);
            driver.drain(&*self.datapath, Instant::now(), &mut self.later);
        }
    }
}
