//! What is heard of links: rtnetlink's messages, the carrier thread's readings, answers to queries.

use std::collections::BTreeSet;
use std::time::Instant;

use bond::{MemberId, Speed};
use netdev::link::{LinkEvent, LinkSettings};
use wire::{EthAddr, Time};

use super::Thread;
use crate::device::Device;
use crate::known::{Known, Outcome};
use crate::member_index::Place;
use crate::modules::{BFD, BOND, CFM, LACP};
use crate::prober::{Sighting, Target};
use crate::queries::{Answer, Purpose, Query};
use crate::updates::{LinkChange, MemberLink};

impl Thread {
    /// The first list of devices, read before there is any port.
    pub(super) fn first_list(&mut self) {
        let mut news = Vec::new();
        if let Err(e) = self.monitor.poll(&mut news) {
            runtime::warn!(BOND, "cannot read the list of links ({e})");
        }
        self.link_events(news, Instant::now());
    }

    /// Takes in all that has been heard: engines first, then main.
    pub(super) fn read_links(&mut self, since: Instant) {
        self.sightings(since);
        self.take_opened();
        // Taken from the queue before the messages are: a message that comes after its answer was
        // made is seen to be newer.
        let answers: Vec<(Query, Answer)> = std::iter::from_fn(|| self.queries.answer()).collect();
        let mut news = Vec::new();
        if let Err(e) = self.monitor.poll_messages(&mut news) {
            runtime::warn!(BOND, "cannot read link events ({e})");
        }
        if !news.is_empty() {
            // Another device's carrier holds the kernel's report of ours back.
            self.prober.alert();
        }
        self.link_events(news, since);
        for (query, answer) in answers {
            self.answer(query, answer, since);
        }
        if self.monitor.wants_list() && self.queries.ask(Query::Links) {
            self.monitor.begin_list();
        }
    }

    /// The carrier thread has read other counts than before.
    fn sightings(&mut self, since: Instant) {
        let seen_by_packets = self.standbys.take();
        let sightings = self.prober.take();
        if sightings.is_empty() && seen_by_packets.is_empty() {
            return;
        }
        let mut touched = BTreeSet::new();
        let first = seen_by_packets.iter().map(|(_, ifindex, sighting)| (*ifindex, *sighting));
        for (ifindex, sighting) in first.chain(sightings) {
            let Some(known) = self.kernel.get_mut(&ifindex) else { continue };
            let outcome = match sighting {
                Sighting::Changes(changes) => known.counted(changes),
                // By name, which may have passed to another device: asked for by index.
                Sighting::Link(up) => {
                    Outcome { unconfirmed: up != known.up(), ..Outcome::default() }
                }
            };
            self.outcome(ifindex, outcome, &mut touched, since);
        }
        for (bond, ..) in &seen_by_packets {
            self.undo_standby(bond);
        }
        self.report(touched, Vec::new());
    }

    /// rtnetlink's messages, or a list.
    fn link_events(&mut self, news: Vec<LinkEvent>, since: Instant) {
        let mut touched = BTreeSet::new();
        let mut gone = Vec::new();
        let mut removed = BTreeSet::new();
        let mut moved = false;
        for event in news {
            match event {
                LinkEvent::Changed(info) => {
                    let ifindex = info.ifindex;
                    match self.kernel.get_mut(&ifindex) {
                        Some(known) => {
                            let before = known.info().clone();
                            let (named, mac) = (info.name != before.name, info.mac);
                            let outcome = known.message(info);
                            self.outcome(ifindex, outcome, &mut touched, since);
                            if before.mac != mac {
                                self.mac_changed(ifindex, mac);
                            }
                            moved |= named && self.is_member(ifindex);
                        }
                        None => {
                            let known = Known::new(info);
                            let up = known.up();
                            self.kernel.insert(ifindex, known);
                            self.tell(ifindex, up, false, since);
                            moved |= self.is_member(ifindex);
                        }
                    }
                    touched.insert(ifindex);
                }
                // The same device: frames pass as before until main has other members.
                LinkEvent::Renamed { ifindex, from } => gone.push((from, ifindex)),
                LinkEvent::Gone { ifindex, name } => {
                    removed.insert(ifindex);
                    self.kernel.remove(&ifindex);
                    self.tell(ifindex, false, false, since);
                    touched.remove(&ifindex);
                    gone.push((name, ifindex));
                    if self.is_member(ifindex) {
                        self.watch_carriers();
                    }
                }
            }
        }
        if moved {
            self.watch_carriers();
        }
        let renamed = gone.iter().filter(|(_, ifindex)| removed.contains(ifindex));
        for (name, ifindex) in renamed {
            self.followed.sees(name, *ifindex);
        }
        removed.retain(|ifindex| self.followed.removed(*ifindex));
        if !removed.is_empty() {
            self.outbox.put(|updates| updates.removed.extend(removed));
        }
        self.report(touched, gone);
    }

    fn answer(&mut self, query: Query, answer: Answer, since: Instant) {
        let now = self.now();
        match (query, answer) {
            (Query::Link { ifindex }, Answer::Link(said)) => {
                // A device that is gone: rtnetlink says so, or has said so.
                let (Ok(info), Some(known)) = (said, self.kernel.get_mut(&ifindex)) else { return };
                let outcome = known.answer(info);
                let mut touched = BTreeSet::new();
                self.outcome(ifindex, outcome, &mut touched, since);
                self.report(touched, Vec::new());
            }
            (Query::Compare { ifindex }, Answer::Link(said)) => {
                self.compare(ifindex, said.as_ref(), since);
            }
            (Query::Links, Answer::Links(list)) => {
                let mut news = Vec::new();
                if let Err(e) = self.monitor.end_list(list, &mut news) {
                    runtime::warn!(BOND, "cannot read the list of links ({e})");
                }
                self.link_events(news, since);
            }
            (Query::Settings { port, member, name }, Answer::Settings(said)) => {
                let device = self.ports.get(&port).and_then(|p| p.device(member));
                match device {
                    Some(d) if d.member.name == name => self.settings(&port, member, said),
                    // It has got another name meanwhile.
                    Some(_) => self.query_settings(&port, member),
                    None => {}
                }
            }
            (Query::Mii { port, member, name }, Answer::Mii(said)) => {
                let Some(running) = self.ports.get_mut(&port) else { return };
                let Some(device) = running.device_mut(member) else { return };
                device.polled(now, &name, said);
                let Some(up) = device.read() else { return };
                self.report_carriers(&port, vec![(member, up)], since);
                let states = self.member_states();
                self.outbox.put(|updates| updates.members.extend(states));
            }
            (Query::Socket { purpose, .. }, Answer::Socket(Ok(socket))) => {
                if let Err(e) = self.sockets.opened(purpose, socket) {
                    runtime::warn!(LACP, "cannot wait for frames of a link ({e})");
                }
            }
            // The datapath carries the frames instead.
            (Query::Socket { purpose, name, .. }, Answer::Socket(Err(e))) => match purpose {
                Purpose::Lacp { port, .. } => {
                    runtime::warn!(LACP, "port {port}: {e}"; "port" => &port, "interface" => &name)
                }
                Purpose::Probe { port, .. } => {
                    runtime::warn!(BOND, "bond {port}: {e}"; "bond" => &port, "member" => &name)
                }
                Purpose::Cfm { .. } => runtime::warn!(CFM, "{name}: {e}"; "interface" => &name),
                Purpose::Send { .. } => runtime::warn!(BFD, "{name}: {e}"; "interface" => &name),
            },
            // Each query has its own kind of answer.
            (
                Query::Link { .. }
                | Query::Compare { .. }
                | Query::Links
                | Query::Settings { .. }
                | Query::Mii { .. }
                | Query::Socket { .. },
                Answer::Link(_)
                | Answer::Links(_)
                | Answer::Settings(_)
                | Answer::Mii(_)
                | Answer::Socket(_),
            ) => {}
        }
    }

    /// The engine wants to know how fast a member's link is.
    pub(super) fn query_settings(&mut self, port: &str, member: MemberId) {
        let device = self.ports.get(port).and_then(|p| p.device(member));
        match device.map(|d| (d.ifindex(), d.member.name.clone())) {
            Some((Some(_), name)) => {
                self.queries.ask_anew(Query::Settings { port: port.to_owned(), member, name });
            }
            Some((None, _)) => self.settings(port, member, None),
            None => {}
        }
    }

    fn settings(&mut self, port: &str, member: MemberId, said: Option<LinkSettings>) {
        let now = self.now();
        let Some(port) = self.ports.get_mut(port) else { return };
        let speed = said
            .filter(|s| s.speed_mbps > 0)
            .map(|s| Speed { mbps: s.speed_mbps, full_duplex: s.full_duplex == Some(true) });
        port.params(now, member, speed);
        port.drain(&*self.datapath, Instant::now(), &mut self.later);
    }

    /// What an observation of a device leads to.
    fn outcome(
        &mut self,
        ifindex: u32,
        outcome: Outcome,
        touched: &mut BTreeSet<u32>,
        since: Instant,
    ) {
        if outcome.changed {
            touched.insert(ifindex);
            for place in self.members.by_ifindex(ifindex) {
                self.standbys.request(&place.port);
            }
            let up = self.kernel.get(&ifindex).is_some_and(Known::up);
            self.tell(ifindex, up, outcome.dipped, since);
        }
        if outcome.unconfirmed
            && self.is_member(ifindex)
            && self.queries.ask(Query::Link { ifindex })
            && let Some(known) = self.kernel.get_mut(&ifindex)
        {
            known.asked();
        }
    }

    /// Members on the device hear of it, each port in turn.
    fn tell(&mut self, ifindex: u32, up: bool, dipped: bool, since: Instant) {
        for place in self.members.by_ifindex(ifindex).to_vec() {
            let Some(port) = self.ports.get_mut(&place.port) else { continue };
            let Some(device) = port.device_mut(place.member) else { continue };
            device.heard(up);
            let states = match device.read() {
                Some(up) => vec![up],
                None if dipped && device.follows_carrier() => vec![false, true],
                None => continue,
            };
            let states = states.into_iter().map(|up| (place.member, up)).collect();
            self.report_carriers(&place.port, states, since);
        }
    }

    pub(super) fn report_carriers(
        &mut self,
        name: &str,
        states: Vec<(MemberId, bool)>,
        since: Instant,
    ) {
        let now = self.now();
        let Some(port) = self.ports.get_mut(name) else { return };
        for (member, up) in states {
            port.carrier(now, member, up);
            port.drain(&*self.datapath, since, &mut self.later);
        }
        runtime::dbg!(BOND, "bond {name}: link event took {:?} to the table", since.elapsed(); "bond" => name);
    }

    fn is_member(&self, ifindex: u32) -> bool {
        !self.members.by_ifindex(ifindex).is_empty()
    }

    /// Tells the carrier thread which devices are members now.
    pub(super) fn watch_carriers(&mut self) {
        let devices = self.ports.values().flat_map(|p| &p.devices);
        let targets = devices.filter_map(|d| {
            let info = self.kernel.get(&d.ifindex()?)?.info();
            let (name, port_no) = (info.name.clone(), d.member.port_no);
            Some(Target { ifindex: info.ifindex, name, mac: info.mac, port_no })
        });
        let targets: Vec<Target> = targets.collect();
        self.standbys.retain(&targets.iter().map(|t| t.ifindex).collect());
        self.prober.watch(targets);
    }

    /// Main and status learn of the same news.
    pub(super) fn report(&mut self, touched: BTreeSet<u32>, gone: Vec<(String, u32)>) {
        let devices = touched.iter().chain(gone.iter().map(|(_, ifindex)| ifindex));
        let places = devices.flat_map(|ifindex| self.members.by_ifindex(*ifindex));
        let states: Vec<(String, MemberLink)> =
            places.filter_map(|p| state(self.ports.get(&p.port)?.device(p.member)?)).collect();
        let (followed, kernel) = (&mut self.followed, &self.kernel);
        let gone: Vec<(String, u32)> =
            gone.into_iter().filter(|(name, ifindex)| followed.sees(name, *ifindex)).collect();
        let touched: Vec<&Known> = touched
            .iter()
            .filter_map(|ifindex| kernel.get(ifindex))
            .filter(|known| followed.sees(&known.info().name, known.info().ifindex))
            .collect();
        if touched.is_empty() && gone.is_empty() && states.is_empty() {
            return;
        }
        self.outbox.put(|updates| {
            for (name, ifindex) in gone {
                updates.links.insert(name, LinkChange::Gone { ifindex });
            }
            // After the former: a name that one device gave up another may have now.
            for known in touched {
                let info = known.info();
                updates.resets.insert(info.name.clone(), known.resets());
                updates.links.insert(info.name.clone(), LinkChange::Changed(info.clone()));
            }
            updates.members.extend(states);
        });
    }

    /// Main is to be told of the devices with these names: of those that exist and were not
    /// followed before at once.
    pub(super) fn follow(&mut self, names: BTreeSet<String>) {
        let new = |known: &&Known| {
            let name = &known.info().name;
            names.contains(name) && !self.followed.has_name(name)
        };
        let new = self.kernel.values().filter(new).map(|known| known.info().ifindex).collect();
        self.followed.set(names);
        self.report(new, Vec::new());
    }

    fn mac_changed(&mut self, ifindex: u32, mac: EthAddr) {
        let now: Time = self.now();
        let since = Instant::now();
        for Place { port, member } in self.members.by_ifindex(ifindex) {
            if let Some(port) = self.ports.get_mut(port) {
                port.mac(now, *member, mac);
                port.drain(&*self.datapath, since, &mut self.later);
            }
        }
    }

    pub(super) fn member_states(&self) -> Vec<(String, MemberLink)> {
        self.ports.values().flat_map(|p| &p.devices).filter_map(state).collect()
    }
}

/// A member's link, once it is known.
fn state(device: &Device) -> Option<(String, MemberLink)> {
    let link = MemberLink { up: device.up?, source: device.source(), settings: None };
    Some((device.member.name.clone(), link))
}
