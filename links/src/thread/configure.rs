//! A new snapshot of ports: engines, devices and sockets in line with it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use bond::MemberId;
use netdev::link::ProtoSocket;

use super::{LOAD_INTERVAL, Thread};
use crate::modules::LACP;
use crate::port_driver::PortDriver;
use crate::queries::{Order, Purpose, Query};
use crate::settings::{LinkDevice, LinkPort};
use crate::sockets::ControlSocket;

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
            for member in port.set_devices(want, now) {
                let Some(device) = port.device(member) else { continue };
                let Some(ifindex) = device.ifindex() else { continue };
                let purpose = Purpose::Lacp { port: want.name.clone(), member };
                let name = device.member.name.clone();
                self.queries.ask(Query::Socket { purpose, name, ifindex });
            }
            port.configure(want, now);
            port.drain(&*self.datapath, since, &mut self.later);
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
        drop(old);
        self.hand_loops_over();
        self.forget_sockets();
        self.watch_carriers();
        let kernel = self.ports.values().flat_map(|p| &p.devices).any(|d| d.ifindex().is_some());
        self.comparison.schedule(now, kernel);
        let states = self.member_states();
        if !states.is_empty() {
            self.outbox.put(|updates| updates.members.extend(states));
        }
        self.next_load = (!self.ports.is_empty()).then_some(now + LOAD_INTERVAL);
    }

    /// A socket that was asked for.
    pub(super) fn opened(&mut self, purpose: Purpose, ifindex: u32, io: ProtoSocket) {
        // Its name may have passed to another device.
        if io.ifindex() != ifindex {
            return drop(self.queries.closer().send(Order::Close(io)));
        }
        let token = self.next_token;
        self.next_token += 1;
        let (registry, closer) = (self.registry.clone(), self.queries.closer());
        let socket = match ControlSocket::register(io, token, registry, closer) {
            Ok(socket) => socket,
            Err(e) => return runtime::warn!(LACP, "cannot wait for frames of a link ({e})"),
        };
        match &purpose {
            Purpose::Lacp { port, member } => {
                let device = self.ports.get_mut(port).and_then(|p| p.device_mut(*member));
                if let Some(device) = device.filter(|d| d.ifindex() == Some(ifindex)) {
                    device.opened(socket);
                }
            }
            Purpose::Cfm { .. } | Purpose::Send { .. } => {
                self.monitors.opened(&purpose, ifindex, socket);
            }
        }
        self.sockets.insert(token, purpose);
        self.forget_sockets();
    }

    /// Asks for the sockets that health checks lack.
    pub(super) fn open_for_monitors(&mut self) {
        for (purpose, name, ifindex) in self.monitors.lacking() {
            self.queries.ask(Query::Socket { purpose, name, ifindex });
        }
        self.forget_sockets();
    }

    /// Drops the tokens of sockets that are closed.
    fn forget_sockets(&mut self) {
        let devices = self.ports.values().flat_map(|p| &p.devices);
        let lacp = devices.filter_map(|d| d.socket.as_ref()).map(ControlSocket::token);
        let open: BTreeSet<usize> = lacp.chain(self.monitors.tokens()).collect();
        self.sockets.retain(|token, _| open.contains(token));
    }
}
