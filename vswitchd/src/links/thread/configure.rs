//! A new picture of ports: engines, devices and sockets in line with it.

use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Instant;

use bond::MemberId;
use mio::unix::SourceFd;
use mio::{Interest, Token};

use super::{LOAD_INTERVAL, Socket, Thread};
use crate::links::port::Running;
use crate::links::{LinkDevice, LinkPort};
use crate::modules::LACP;

impl Thread {
    pub(super) fn configure(&mut self, wanted: Vec<LinkPort>) {
        let now = self.now();
        let since = Instant::now();
        // The kernel has announced a device before anyone could ask for it to be a member.
        self.link_news(since);
        let mut old = std::mem::take(&mut self.ports);
        for want in &wanted {
            let mut port = match old.remove(&want.name) {
                Some(port) if port.fits(want) => port,
                Some(_) | None => Running::new(want, now),
            };
            // Devices first: a table needs their port numbers.
            for complaint in port.set_devices(want, now) {
                crate::warn!(LACP, "port {}: {complaint}", want.name);
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
                for (monitor, up) in self.monitors.opinions(&name) {
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
        self.register_sockets();
        self.watch_carriers();
        let states = self.member_states();
        if !states.is_empty() {
            self.outbox.put(|letters| letters.members.extend(states));
        }
        self.next_load = (!self.ports.is_empty()).then_some(now + LOAD_INTERVAL);
    }

    /// Brings the poll in line with the sockets that are open now.
    fn register_sockets(&mut self) {
        let mut open: BTreeMap<RawFd, (String, MemberId)> = BTreeMap::new();
        for port in self.ports.values() {
            for device in &port.devices {
                if let Some(socket) = &device.socket {
                    open.insert(socket.fd(), (port.name.clone(), device.member.id));
                }
            }
        }
        // A closed descriptor has left the poll by itself, and its number may be in use again.
        self.sockets.retain(|_, s| {
            open.get(&s.fd).is_some_and(|(port, member)| *port == s.port && *member == s.member)
        });
        for socket in self.sockets.values() {
            open.remove(&socket.fd);
        }
        for (fd, (port, member)) in open {
            let token = self.next_token;
            self.next_token += 1;
            let registry = self.poll.registry();
            if let Err(e) =
                registry.register(&mut SourceFd(&fd), Token(token), Interest::READABLE).or_else(
                    |_| registry.reregister(&mut SourceFd(&fd), Token(token), Interest::READABLE),
                )
            {
                crate::warn!(LACP, "port {port}: cannot wait for LACP PDUs ({e})");
                continue;
            }
            self.sockets.insert(token, Socket { fd, port, member });
        }
    }
}
