//! BFD and CFM sessions: one of each for an interface at most, whether its port is a bond or not.
//!
//! What a session finds out goes to the bond first; what it wants sent, logged and written to
//! the database follows when traffic has moved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bond::monitor::bfd::{self, BfdColumn, BfdStatus};
use bond::monitor::cfm::{self, CfmColumns, CfmStatus};
use bond::{Monitor, Notice};
use datapath::{Action, Datapath, Execute, PortNo};
use netdev::Packet;
use wire::bfd::Path;
use wire::{EthAddr, Time};

use crate::cfm_frame::{cfm_event, cfm_frame, cfm_payload};
use crate::modules::{BFD, CFM};
use crate::queries::Purpose;
use crate::sockets::ControlSocket;
use config::WantBfd;
use runtime::log::{Level, RateLimit};

/// The first source port of RFC 5881 section 4, and how many there are.
const PORTS: (u16, u16) = (49_152, 16_384);

/// What a stranger's packets may write into the log: as upstream, 20 lines a minute.
static LIMIT: RateLimit = RateLimit::new(20, 20);

/// An interface with health checks.
#[derive(Clone, Debug)]
pub struct WatchedLink {
    /// `Interface.name`.
    pub name: String,
    pub mac: EthAddr,
    /// A device of the kernel's that leads to a wire: its frames need not pass the datapath.
    pub ifindex: Option<u32>,
    /// `None` for a patch port.
    pub port_no: Option<PortNo>,
    /// Of a patch port: the one at the other end, if that names this one in turn.
    pub peer: Option<String>,
    pub bfd: Option<WantBfd>,
    pub cfm: Option<cfm::Config>,
}

/// A session's word for its bond; `None` = there is no such session any more.
pub(crate) struct MonitorChange {
    pub(crate) link: String,
    pub(crate) monitor: Monitor,
    pub(crate) up: Option<bool>,
}

/// What the database should hold; `None` = empty columns.
#[derive(Default)]
pub(crate) struct Columns {
    pub(crate) bfd: BTreeMap<String, Option<BfdColumn>>,
    pub(crate) cfm: BTreeMap<String, Option<CfmColumns>>,
}

struct BfdRun {
    session: bfd::Session,
    src_port: u16,
    /// What the database was told.
    column: Option<BfdColumn>,
}

struct CfmRun {
    session: cfm::Session,
    /// Receives untagged messages of a device on a wire.
    socket: Option<ControlSocket>,
    destination: EthAddr,
    columns: Option<CfmColumns>,
}

struct Watched {
    link: WatchedLink,
    /// Sends only.
    socket: Option<ControlSocket>,
    bfd: Option<BfdRun>,
    cfm: Option<CfmRun>,
}

enum Later {
    Send(Vec<u8>),
    Notice(Notice),
}

/// Every session, by interface name.
pub(crate) struct Monitors {
    datapath: Arc<dyn Datapath>,
    links: BTreeMap<String, Watched>,
    random: u64,
    next_port: u16,
    news: Vec<MonitorChange>,
    later: Vec<(String, Later)>,
    /// Sessions that something has happened to.
    touched: BTreeSet<String>,
    columns: Columns,
}

impl Monitors {
    /// `random` is any number.
    pub(crate) fn new(datapath: Arc<dyn Datapath>, random: u64) -> Monitors {
        Monitors {
            datapath,
            links: BTreeMap::new(),
            random,
            next_port: 0,
            news: Vec::new(),
            later: Vec::new(),
            touched: BTreeSet::new(),
            columns: Columns::default(),
        }
    }

    /// Takes over the whole snapshot; sessions that stay keep what they know.
    pub(crate) fn configure(&mut self, now: Time, wanted: Vec<WatchedLink>) {
        let mut old = std::mem::take(&mut self.links);
        for want in wanted {
            let before = old.remove(&want.name);
            self.set_link(now, want, before);
        }
        for (name, gone) in old {
            if gone.bfd.is_some() {
                self.end_bfd(&name);
            }
            if gone.cfm.is_some() {
                self.end_cfm(&name);
            }
        }
    }

    fn set_link(&mut self, now: Time, want: WatchedLink, before: Option<Watched>) {
        let name = want.name.clone();
        let (bfd, cfm) = (want.bfd.clone(), want.cfm.clone());
        let mut watched = match before {
            Some(mut w) => {
                // A device that was made anew may have its old index, but not its old port.
                if (w.link.ifindex, w.link.port_no) != (want.ifindex, want.port_no) {
                    w.socket = None;
                    if let Some(c) = &mut w.cfm {
                        c.socket = None;
                    }
                }
                w.link = want;
                w
            }
            None => Watched { link: want, socket: None, bfd: None, cfm: None },
        };
        let (had_bfd, had_cfm) = (watched.bfd.is_some(), watched.cfm.is_some());
        if bfd.is_none() {
            watched.bfd = None;
        }
        if cfm.is_none() {
            watched.cfm = None;
        }
        self.links.insert(name.clone(), watched);
        match (bfd, had_bfd) {
            (Some(want), true) => {
                self.bfd(now, &name, bfd::Event::Configure(Box::new(want.session)));
            }
            (Some(want), false) => self.start_bfd(now, &name, want),
            (None, true) => self.end_bfd(&name),
            (None, false) => {}
        }
        match (cfm, had_cfm) {
            (Some(want), true) => {
                self.listen_for_cfm(&name, want.destination());
                self.cfm(now, &name, cfm::Event::Configure(Box::new(want)));
            }
            (Some(want), false) => self.start_cfm(now, &name, want),
            (None, true) => self.end_cfm(&name),
            (None, false) => {}
        }
    }

    fn random(&mut self) -> u64 {
        self.random = wire::hash::hash_uint64(self.random, 1).into();
        let high = u64::from(wire::hash::hash_uint64(self.random, 2));
        self.random |= high << 32;
        self.random
    }

    fn start_bfd(&mut self, now: Time, name: &str, want: WantBfd) {
        let taken: BTreeSet<u32> = self
            .links
            .values()
            .filter_map(|w| w.bfd.as_ref())
            .map(|b| b.session.status(now).discriminator)
            .collect();
        let mut discriminator = 0;
        while discriminator == 0 || taken.contains(&discriminator) {
            discriminator = self.random() as u32;
        }
        let jitter = self.random();
        let session = bfd::Session::new(now, want.session, discriminator, jitter);
        let up = session.forwarding();
        let src_port = PORTS.0 + self.next_port;
        self.next_port = (self.next_port + 1) % PORTS.1;
        let Some(w) = self.links.get_mut(name) else { return };
        w.bfd = Some(BfdRun { session, src_port, column: None });
        self.tell(name, Monitor::Bfd, Some(up));
        self.drain_bfd(name);
    }

    fn end_bfd(&mut self, name: &str) {
        self.tell(name, Monitor::Bfd, None);
        self.columns.bfd.insert(name.to_owned(), None);
    }

    fn start_cfm(&mut self, now: Time, name: &str, want: cfm::Config) {
        let random = self.random();
        let destination = want.destination();
        let session = cfm::Session::new(now, want, random);
        let up = session.up();
        let Some(w) = self.links.get_mut(name) else { return };
        w.cfm = Some(CfmRun { session, socket: None, destination, columns: None });
        self.tell(name, Monitor::Cfm, Some(up));
        self.drain_cfm(name);
    }

    fn end_cfm(&mut self, name: &str) {
        self.tell(name, Monitor::Cfm, None);
        self.columns.cfm.insert(name.to_owned(), None);
    }

    /// A socket for another group is of no use.
    fn listen_for_cfm(&mut self, name: &str, destination: EthAddr) {
        if let Some(c) = self.links.get_mut(name).and_then(|w| w.cfm.as_mut())
            && c.destination != destination
        {
            c.destination = destination;
            c.socket = None;
        }
    }

    /// Sockets that are to be opened: what for, on which device.
    pub(crate) fn lacking(&self) -> Vec<(Purpose, String, u32)> {
        let mut all = Vec::new();
        for (name, w) in &self.links {
            let Some(ifindex) = w.link.ifindex else { continue };
            if w.socket.is_none() {
                all.push((Purpose::Send { link: name.clone() }, name.clone(), ifindex));
            }
            if let Some(c) = &w.cfm
                && c.socket.is_none()
            {
                let purpose = Purpose::Cfm { link: name.clone(), group: c.destination };
                all.push((purpose, name.clone(), ifindex));
            }
        }
        all
    }

    /// Takes a socket that was opened, if it is still wanted.
    pub(crate) fn opened(&mut self, purpose: &Purpose, ifindex: u32, socket: ControlSocket) {
        let (Purpose::Cfm { link, .. } | Purpose::Send { link }) = purpose else { return };
        let Some(w) = self.links.get_mut(link) else { return };
        if w.link.ifindex != Some(ifindex) {
            return;
        }
        match purpose {
            Purpose::Cfm { group, .. } => {
                if let Some(c) = w.cfm.as_mut().filter(|c| c.destination == *group) {
                    c.socket = Some(socket);
                }
            }
            Purpose::Send { .. } => w.socket = Some(socket),
            Purpose::Lacp { .. } => {}
        }
    }

    /// Tokens of the open sockets.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = usize> {
        self.links.values().flat_map(|w| {
            let cfm = w.cfm.as_ref().and_then(|c| c.socket.as_ref());
            w.socket.iter().chain(cfm).map(ControlSocket::token)
        })
    }

    fn tell(&mut self, link: &str, monitor: Monitor, up: Option<bool>) {
        self.news.push(MonitorChange { link: link.to_owned(), monitor, up });
        self.touched.insert(link.to_owned());
    }

    /// When [`Monitors::tick`] is due.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.links.values().filter_map(Watched::deadline).min()
    }

    /// Deadlines that have come.
    pub(crate) fn tick(&mut self, now: Time) {
        let due: Vec<String> = self
            .links
            .iter()
            .filter(|(_, w)| w.deadline().is_some_and(|t| t <= now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            let Some(w) = self.links.get(&name) else { continue };
            let bfd = w.bfd.as_ref().is_some_and(|b| b.session.next_deadline() <= now);
            let cfm = w.cfm.as_ref().is_some_and(|c| c.session.next_deadline() <= now);
            if bfd {
                self.bfd(now, &name, bfd::Event::Deadline);
            }
            if cfm {
                self.cfm(now, &name, cfm::Event::Deadline);
            }
        }
    }

    fn received_by(&self, link: &WatchedLink) -> Option<u64> {
        Some(self.datapath.port_counters(link.port_no?)?.rx_packets)
    }

    fn bfd(&mut self, now: Time, name: &str, event: bfd::Event) {
        let Some(w) = self.links.get(name) else { return };
        let wants = w.bfd.as_ref().is_some_and(|b| b.session.wants_traffic());
        let count = if wants { self.received_by(&w.link) } else { None };
        let run = self.links.get_mut(name).and_then(|w| w.bfd.as_mut());
        let Some(run) = run else { return };
        if let Some(rx_packets) = count {
            run.session.handle(now, bfd::Event::Traffic { rx_packets });
            self.drain_bfd(name);
        }
        if let Some(run) = self.links.get_mut(name).and_then(|w| w.bfd.as_mut()) {
            run.session.handle(now, event);
        }
        self.drain_bfd(name);
    }

    fn drain_bfd(&mut self, name: &str) {
        let Some(w) = self.links.get_mut(name) else { return };
        let (Some(run), Some(want)) = (&mut w.bfd, &w.link.bfd) else { return };
        let path = Path {
            dst_mac: want.dst_mac,
            src_mac: want.src_mac.unwrap_or(w.link.mac),
            src_ip: want.src_ip,
            dst_ip: want.dst_ip,
            src_port: run.src_port,
        };
        while let Some(effect) = run.session.poll_effect() {
            match effect {
                bfd::Effect::Forwarding(up) => {
                    let (link, monitor) = (name.to_owned(), Monitor::Bfd);
                    self.news.push(MonitorChange { link, monitor, up: Some(up) });
                }
                bfd::Effect::Send(payload) => {
                    self.later.push((name.to_owned(), Later::Send(path.frame(&payload))));
                }
                bfd::Effect::Notice(n) => self.later.push((name.to_owned(), Later::Notice(n))),
            }
        }
        self.touched.insert(name.to_owned());
    }

    fn cfm(&mut self, now: Time, name: &str, event: cfm::Event) {
        let Some(w) = self.links.get(name) else { return };
        let wants = w.cfm.as_ref().is_some_and(|c| c.session.wants_traffic());
        let count = if wants { self.received_by(&w.link) } else { None };
        let run = self.links.get_mut(name).and_then(|w| w.cfm.as_mut());
        let Some(run) = run else { return };
        if let Some(rx_packets) = count {
            run.session.handle(now, cfm::Event::Traffic { rx_packets });
            self.drain_cfm(name);
        }
        if let Some(run) = self.links.get_mut(name).and_then(|w| w.cfm.as_mut()) {
            run.session.handle(now, event);
        }
        self.drain_cfm(name);
    }

    fn drain_cfm(&mut self, name: &str) {
        let Some(w) = self.links.get_mut(name) else { return };
        let Some(run) = &mut w.cfm else { return };
        while let Some(effect) = run.session.poll_effect() {
            match effect {
                cfm::Effect::Up(up) => {
                    let (link, monitor) = (name.to_owned(), Monitor::Cfm);
                    self.news.push(MonitorChange { link, monitor, up: Some(up) });
                }
                cfm::Effect::Send { destination, tci, payload } => {
                    let frame = cfm_frame(destination, w.link.mac, tci, &payload);
                    self.later.push((name.to_owned(), Later::Send(frame)));
                }
                cfm::Effect::Notice(n) => self.later.push((name.to_owned(), Later::Notice(n))),
            }
        }
        self.touched.insert(name.to_owned());
    }

    fn by_port(&self, port_no: PortNo) -> Option<&Watched> {
        self.links.values().find(|w| w.link.port_no == Some(port_no))
    }

    /// A BFD frame that came by the datapath.
    pub(crate) fn bfd_frame(&mut self, now: Time, port_no: PortNo, frame: &[u8]) {
        let Some(w) = self.by_port(port_no) else { return };
        let name = w.link.name.clone();
        self.bfd_frame_of(now, &name, frame);
    }

    fn bfd_frame_of(&mut self, now: Time, name: &str, frame: &[u8]) {
        let Some(got) = wire::bfd::receive(frame) else { return };
        let Some(w) = self.links.get(name) else { return };
        let Some(want) = &w.link.bfd else { return };
        let own = want.own();
        // The flow that brought it here may be older than the latest configuration.
        let ours = own.dst_mac.is_none_or(|mac| mac == got.dst_mac)
            && own.dst_ip.is_none_or(|ip| ip == got.dst_ip);
        if ours {
            let event = bfd::Event::Packet { payload: got.payload.to_vec(), ttl: got.ttl };
            self.bfd(now, name, event);
        }
    }

    /// A CFM frame that came by the datapath. A device with a socket has seen it there, unless it
    /// has a tag.
    pub(crate) fn cfm_frame(&mut self, now: Time, port_no: PortNo, frame: &[u8]) {
        let Some((payload, tagged)) = cfm_payload(frame) else { return };
        let Some(w) = self.by_port(port_no) else { return };
        let seen = w.cfm.as_ref().is_some_and(|c| c.socket.is_some());
        if tagged || !seen {
            let name = w.link.name.clone();
            let event = cfm_event(frame, payload);
            self.cfm(now, &name, event);
        }
    }

    /// Untagged CFM frames of an interface's socket, at most `max` of them.
    pub(crate) fn read_socket(&mut self, now: Time, name: &str, max: usize) {
        for taken in 0.. {
            let run = self.links.get_mut(name).and_then(|w| w.cfm.as_mut());
            let Some(socket) = run.and_then(|r| r.socket.as_mut()) else { return };
            if taken == max {
                return socket.rearm();
            }
            let Some(frame) = socket.recv() else { return socket.rearm() };
            if let Some((payload, false)) = cfm_payload(frame) {
                let event = cfm_event(frame, payload);
                self.cfm(now, name, event);
            }
        }
    }

    /// A frame that one patch port sends arrives at the other.
    fn over_patch(&mut self, now: Time, from: &str, frame: &[u8]) {
        let Some(to) = self.links.get(from).and_then(|w| w.link.peer.clone()) else { return };
        match cfm_payload(frame) {
            Some((payload, _)) => self.cfm(now, &to, cfm_event(frame, payload)),
            None => self.bfd_frame_of(now, &to, frame),
        }
    }

    /// What `link`'s sessions say now.
    pub(crate) fn verdicts(&self, link: &str) -> [(Monitor, Option<bool>); 2] {
        let w = self.links.get(link);
        let bfd = w.and_then(|w| w.bfd.as_ref()).map(|b| b.session.forwarding());
        let cfm = w.and_then(|w| w.cfm.as_ref()).map(|c| c.session.up());
        [(Monitor::Bfd, bfd), (Monitor::Cfm, cfm)]
    }

    /// `bfd/set-forwarding` (true = forwarding) and `cfm/set-fault` (true = fault), of one
    /// interface or of all. False if the one has no such session.
    pub(crate) fn force(
        &mut self,
        now: Time,
        monitor: Monitor,
        link: Option<&str>,
        forced: Option<bool>,
    ) -> bool {
        let has = |w: &Watched| match monitor {
            Monitor::Bfd => w.bfd.is_some(),
            Monitor::Cfm => w.cfm.is_some(),
        };
        let chosen: Vec<String> = self
            .links
            .iter()
            .filter(|(name, w)| link.is_none_or(|l| l == *name) && has(w))
            .map(|(name, _)| name.clone())
            .collect();
        for name in &chosen {
            match monitor {
                Monitor::Bfd => self.bfd(now, name, bfd::Event::Override(forced)),
                Monitor::Cfm => self.cfm(now, name, cfm::Event::Override(forced)),
            }
        }
        link.is_none() || !chosen.is_empty()
    }

    pub(crate) fn bfds(&self, now: Time) -> Vec<BfdStatus> {
        self.links.values().filter_map(|w| Some(w.bfd.as_ref()?.session.status(now))).collect()
    }

    pub(crate) fn cfms(&self, now: Time) -> Vec<CfmStatus> {
        self.links.values().filter_map(|w| Some(w.cfm.as_ref()?.session.status(now))).collect()
    }

    /// What bonds must hear.
    pub(crate) fn take_changes(&mut self) -> Vec<MonitorChange> {
        std::mem::take(&mut self.news)
    }

    /// Sends and logs what could wait, and gives what the database should hold. There may be
    /// more news then, of sessions that talk over patch ports.
    pub(crate) fn finish(&mut self, now: Time) -> Columns {
        while !self.later.is_empty() {
            for (name, later) in std::mem::take(&mut self.later) {
                match later {
                    Later::Send(frame) => self.send(now, &name, &frame),
                    Later::Notice(notice) => log(&notice),
                }
            }
        }
        for name in std::mem::take(&mut self.touched) {
            let Some(w) = self.links.get_mut(&name) else { continue };
            if let Some(b) = &mut w.bfd
                && b.column != Some(b.session.column())
            {
                b.column = Some(b.session.column());
                self.columns.bfd.insert(name.clone(), b.column);
            }
            if let Some(c) = &mut w.cfm {
                let columns = Some(c.session.columns());
                if c.columns != columns {
                    c.columns.clone_from(&columns);
                    self.columns.cfm.insert(name, columns);
                }
            }
        }
        std::mem::take(&mut self.columns)
    }

    fn send(&mut self, now: Time, name: &str, frame: &[u8]) {
        let Some(w) = self.links.get_mut(name) else { return };
        match (&mut w.socket, w.link.port_no) {
            (Some(socket), _) => {
                // A refused frame (device down) is as good as lost on the wire.
                if let Err(e) = socket.send(frame) {
                    runtime::dbg!(BFD, "{name}: cannot send health check ({e})");
                }
            }
            (None, Some(port_no)) => {
                // Dropped while the datapath is stuck: as good as lost on the wire.
                let _ = self.datapath.execute_urgent(Execute {
                    packet: Packet::new(frame),
                    in_port: PortNo::NONE,
                    actions: vec![Action::Output(port_no)],
                });
            }
            (None, None) => self.over_patch(now, name, frame),
        }
    }
}

impl Watched {
    fn deadline(&self) -> Option<Time> {
        let bfd = self.bfd.as_ref().map(|b| b.session.next_deadline());
        let cfm = self.cfm.as_ref().map(|c| c.session.next_deadline());
        bfd.into_iter().chain(cfm).min()
    }
}

fn log(notice: &Notice) {
    let module = if notice.module == "cfm" { &CFM } else { &BFD };
    let level = match notice.level {
        bond::Level::Err => Level::Err,
        bond::Level::Warn => Level::Warn,
        bond::Level::Info => Level::Info,
        bond::Level::Dbg => Level::Dbg,
    };
    runtime::log_at_rl!(*module, LIMIT, level, "{}", notice.text);
}
