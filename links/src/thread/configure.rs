//! A new snapshot of ports: engines, devices and sockets in line with it.

use std::sync::Arc;
use std::time::Instant;

use super::{LOAD_INTERVAL, Thread};
use crate::member_index::MemberIndex;
use crate::port_driver::PortDriver;
use crate::queries::Query;
use crate::settings::{LinkDevice, LinkPort};
use crate::sockets::BoundTo;
use bond::MemberId;

impl Thread {
    pub(super) fn configure(&mut self, wanted: Vec<LinkPort>) {
        let now = self.now();
        let since = Instant::now();
        // The kernel has announced a device before anyone could ask for it to be a member.
        self.read_links(since);
        let mut old = std::mem::take(&mut self.ports);
        for want in &wanted {
            let mut port = match old.remove(&want.name) {
                Some(port) if port.fits(want) => port,
                Some(_) | None => PortDriver::new(want, now),
            };
            // Devices first: a table needs their port numbers.
            port.set_devices(want, now);
            port.configure(want, now);
            port.drain(&*self.datapath, since, &mut self.later);
            // A member that stayed may have another port; the engine does not know ports.
            port.renew_table(&*self.datapath);
            for device in &port.devices {
                if let LinkDevice::Dummy(dummy) = &device.member.device {
                    let waker = self.waker.clone();
                    // Fails only when the thread has gone.
                    dummy.on_change(Arc::new(move || drop(waker.wake())));
                }
            }
            let preferred = port.preferred(want);
            let mut first: Vec<(bool, MemberId, bool)> = Vec::new();
            for device in &mut port.devices {
                if let Some(ifindex) = device.ifindex()
                    && device.up.is_none()
                    && let Some(known) = self.kernel.get(&ifindex)
                {
                    device.heard(known.up());
                }
                if let Some(up) = device.read() {
                    let last = preferred.is_none_or(|mac| mac != device.member.mac);
                    first.push((last, device.member.id, up));
                }
            }
            let names: Vec<(MemberId, String)> =
                port.devices.iter().map(|d| (d.member.id, d.member.name.clone())).collect();
            for (member, name) in names {
                for (monitor, up) in self.monitors.verdicts(&name) {
                    port.monitor(now, member, monitor, up);
                }
                port.drain(&*self.datapath, since, &mut self.later);
            }
            first.sort_unstable();
            for (_, member, up) in first {
                port.carrier(now, member, up);
                port.drain(&*self.datapath, since, &mut self.later);
            }
            self.ports.insert(want.name.clone(), port);
        }
        self.later.touched.extend(old.into_keys());
        self.members = MemberIndex::new(self.ports.values());
        self.hand_loops_over();
        self.sync_sockets();
        self.watch_carriers();
        let kernel = self.ports.values().flat_map(|p| &p.devices).any(|d| d.ifindex().is_some());
        self.comparison.schedule(now, kernel);
        let states = self.member_states();
        if !states.is_empty() {
            self.outbox.put(|updates| updates.members.extend(states));
        }
        self.next_load = (!self.ports.is_empty()).then_some(now + LOAD_INTERVAL);
    }

    /// Opens and closes sockets as ports and health checks need them.
    pub(super) fn sync_sockets(&mut self) {
        let lacp = self.ports.values().flat_map(PortDriver::wanted_sockets);
        let wanted = lacp.chain(self.monitors.wanted_sockets()).collect();
        for (purpose, to) in self.sockets.want(wanted) {
            let BoundTo { name, ifindex, .. } = to;
            self.queries.ask(Query::Socket { purpose, name, ifindex });
        }
    }
}
