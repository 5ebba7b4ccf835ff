//! BFD and CFM sessions: at most one of each for an interface, whether its port is a bond or not.
//!
//! A verdict goes to the bond first. What a session wants sent, logged and written to the database
//! follows when traffic has moved.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bond::monitor::bfd::{self, BfdColumn, BfdStatus};
use bond::monitor::cfm::{self, CfmColumns, CfmStatus};
use bond::{Monitor, Notice};
use config::WantBfd;
use datapath::{Datapath, PortNo};
use runtime::log::{Level, RateLimit};
use wire::Time;

use crate::cfm_frame::{cfm_event, cfm_payload};
use crate::modules::{BFD, CFM};
use crate::queries::Purpose;
use crate::session::{Column, Input, Output, Session, bfd_event};
use crate::settings::WatchedLink;
use crate::sockets::{BoundTo, Sent, Sockets};

/// The first source port of RFC 5881 section 4, and how many there are.
const PORTS: (u16, u16) = (49_152, 16_384);

/// Lines a minute that received packets may write into the log; as Open vSwitch.
static RATE_LIMIT: RateLimit = RateLimit::new(20, 20);

/// A session's verdict for its bond; `None` = the session has ended.
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

/// A session, and what the database was told of it.
struct Run {
    session: Session,
    reported: Option<Column>,
}

struct Watched {
    link: WatchedLink,
    sessions: BTreeMap<Monitor, Run>,
}

enum Later {
    Send(Vec<u8>),
    Notice(Notice),
}

/// Every session, by interface name.
pub(crate) struct Monitors {
    datapath: Arc<dyn Datapath>,
    links: BTreeMap<String, Watched>,
    /// The interface of each datapath port.
    by_port: HashMap<PortNo, String>,
    random: u64,
    next_port: u16,
    changes: Vec<MonitorChange>,
    later: Vec<(String, Later)>,
    /// Interfaces whose sessions have had an event.
    touched: BTreeSet<String>,
    columns: Columns,
}

impl Monitors {
    /// `random` is any number.
    pub(crate) fn new(datapath: Arc<dyn Datapath>, random: u64) -> Monitors {
        Monitors {
            datapath,
            links: BTreeMap::new(),
            by_port: HashMap::new(),
            random,
            next_port: 0,
            changes: Vec::new(),
            later: Vec::new(),
            touched: BTreeSet::new(),
            columns: Columns::default(),
        }
    }

    /// Takes over the whole snapshot; sessions that stay keep their state.
    pub(crate) fn configure(&mut self, now: Time, wanted: Vec<WatchedLink>) {
        let mut old = std::mem::take(&mut self.links);
        self.by_port = wanted.iter().filter_map(|w| Some((w.port_no?, w.name.clone()))).collect();
        for link in wanted {
            let sessions = old.remove(&link.name).map(|w| w.sessions).unwrap_or_default();
            self.set_link(now, link, sessions);
        }
        for (name, gone) in old {
            for monitor in gone.sessions.into_keys() {
                self.end(&name, monitor);
            }
        }
    }

    fn set_link(&mut self, now: Time, link: WatchedLink, sessions: BTreeMap<Monitor, Run>) {
        let name = link.name.clone();
        let (bfd, cfm) = (link.bfd.clone(), link.cfm.clone());
        self.links.insert(name.clone(), Watched { link, sessions });
        self.count_traffic(now, &name, Monitor::Bfd);
        self.count_traffic(now, &name, Monitor::Cfm);
        match (bfd, self.session_mut(&name, Monitor::Bfd)) {
            (Some(want), Some(Session::Bfd { session, .. })) => {
                session.handle(now, bfd::Event::Configure(Box::new(want.session)));
                self.drain(&name, Monitor::Bfd);
            }
            (Some(want), _) => self.start_bfd(now, &name, want),
            (None, Some(_)) => self.end(&name, Monitor::Bfd),
            (None, None) => {}
        }
        match (cfm, self.session_mut(&name, Monitor::Cfm)) {
            (Some(want), Some(Session::Cfm { session })) => {
                session.handle(now, cfm::Event::Configure(Box::new(want)));
                self.drain(&name, Monitor::Cfm);
            }
            (Some(want), _) => {
                let session = cfm::Session::new(now, want, self.random());
                self.start(&name, Session::Cfm { session });
            }
            (None, Some(_)) => self.end(&name, Monitor::Cfm),
            (None, None) => {}
        }
    }

    fn random(&mut self) -> u64 {
        self.random = wire::hash::hash_uint64(self.random, 1).into();
        let high = u64::from(wire::hash::hash_uint64(self.random, 2));
        self.random |= high << 32;
        self.random
    }

    fn start_bfd(&mut self, now: Time, name: &str, want: WantBfd) {
        let taken: BTreeSet<u32> = self.bfds(now).into_iter().map(|s| s.discriminator).collect();
        let mut discriminator = 0;
        while discriminator == 0 || taken.contains(&discriminator) {
            discriminator = self.random() as u32;
        }
        let jitter = self.random();
        let session = bfd::Session::new(now, want.session, discriminator, jitter);
        let src_port = PORTS.0 + self.next_port;
        self.next_port = (self.next_port + 1) % PORTS.1;
        self.start(name, Session::Bfd { session, src_port });
    }

    fn start(&mut self, name: &str, session: Session) {
        let (monitor, up) = (session.monitor(), session.verdict());
        let Some(w) = self.links.get_mut(name) else { return };
        w.sessions.insert(monitor, Run { session, reported: None });
        self.changed(name, monitor, Some(up));
        self.drain(name, monitor);
    }

    fn end(&mut self, name: &str, monitor: Monitor) {
        if let Some(w) = self.links.get_mut(name) {
            w.sessions.remove(&monitor);
        }
        self.changed(name, monitor, None);
        match monitor {
            Monitor::Bfd => drop(self.columns.bfd.insert(name.to_owned(), None)),
            Monitor::Cfm => drop(self.columns.cfm.insert(name.to_owned(), None)),
        }
    }

    fn changed(&mut self, link: &str, monitor: Monitor, up: Option<bool>) {
        self.changes.push(MonitorChange { link: link.to_owned(), monitor, up });
        self.touched.insert(link.to_owned());
    }

    /// The sockets of interfaces on a wire: one that sends, and one for untagged CFM messages.
    pub(crate) fn wanted_sockets(&self) -> impl Iterator<Item = (Purpose, BoundTo)> {
        self.links.iter().flat_map(|(name, w)| {
            let port_no = w.link.port_no;
            let bound = |ifindex| BoundTo { name: name.clone(), ifindex, port_no };
            let to = w.link.ifindex.map(bound);
            let send = Purpose::Send { link: name.clone() };
            std::iter::once(send)
                .chain(cfm_purpose(&w.link))
                .filter_map(move |p| Some((p, to.clone()?)))
        })
    }

    /// When [`Monitors::tick`] is due.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let sessions = self.links.values().flat_map(|w| w.sessions.values());
        sessions.map(|run| run.session.next_deadline()).min()
    }

    /// Deadlines that have come.
    pub(crate) fn tick(&mut self, now: Time) {
        let mut due = Vec::new();
        for (name, w) in &self.links {
            let sessions = w.sessions.iter().filter(|(_, run)| run.session.next_deadline() <= now);
            due.extend(sessions.map(|(monitor, _)| (name.clone(), *monitor)));
        }
        for (name, monitor) in due {
            self.input(now, &name, monitor, Input::Deadline);
        }
    }

    fn session_mut(&mut self, name: &str, monitor: Monitor) -> Option<&mut Session> {
        Some(&mut self.links.get_mut(name)?.sessions.get_mut(&monitor)?.session)
    }

    /// Tells a session that takes traffic into account how much there was.
    fn count_traffic(&mut self, now: Time, name: &str, monitor: Monitor) {
        let Some(w) = self.links.get(name) else { return };
        let Some(run) = w.sessions.get(&monitor) else { return };
        if !run.session.wants_traffic() {
            return;
        }
        let counters = w.link.port_no.and_then(|p| self.datapath.port_counters(p));
        let Some(rx_packets) = counters.map(|c| c.rx_packets) else { return };
        if let Some(session) = self.session_mut(name, monitor) {
            session.handle(now, Input::Traffic { rx_packets });
            self.drain(name, monitor);
        }
    }

    fn input(&mut self, now: Time, name: &str, monitor: Monitor, input: Input) {
        self.count_traffic(now, name, monitor);
        if let Some(session) = self.session_mut(name, monitor) {
            session.handle(now, input);
            self.drain(name, monitor);
        }
    }

    /// Takes what a session wants done; only verdicts cannot wait.
    fn drain(&mut self, name: &str, monitor: Monitor) {
        let Some(w) = self.links.get_mut(name) else { return };
        let Some(run) = w.sessions.get_mut(&monitor) else { return };
        while let Some(output) = run.session.poll_output(&w.link) {
            let later = match output {
                Output::Verdict(up) => {
                    let link = name.to_owned();
                    self.changes.push(MonitorChange { link, monitor, up: Some(up) });
                    continue;
                }
                Output::Send(frame) => Later::Send(frame),
                Output::Notice(notice) => Later::Notice(notice),
            };
            self.later.push((name.to_owned(), later));
        }
        self.touched.insert(name.to_owned());
    }

    /// A BFD frame that came by the datapath.
    pub(crate) fn bfd_frame(&mut self, now: Time, port_no: PortNo, frame: &[u8]) {
        if let Some(name) = self.by_port.get(&port_no).cloned() {
            self.bfd_frame_of(now, &name, frame);
        }
    }

    fn bfd_frame_of(&mut self, now: Time, name: &str, frame: &[u8]) {
        let event = self.links.get(name).and_then(|w| bfd_event(&w.link, frame));
        let Some(event) = event else { return };
        self.count_traffic(now, name, Monitor::Bfd);
        if let Some(Session::Bfd { session, .. }) = self.session_mut(name, Monitor::Bfd) {
            session.handle(now, event);
            self.drain(name, Monitor::Bfd);
        }
    }

    /// A CFM frame that came by the datapath. One without a tag has been read from the socket, if
    /// there is one.
    pub(crate) fn cfm_frame(
        &mut self,
        now: Time,
        port_no: PortNo,
        frame: &[u8],
        sockets: &Sockets,
    ) {
        let Some((_, tagged)) = cfm_payload(frame) else { return };
        let Some(name) = self.by_port.get(&port_no).cloned() else { return };
        let purpose = self.links.get(&name).and_then(|w| cfm_purpose(&w.link));
        if tagged || !purpose.is_some_and(|p| sockets.is_open(&p)) {
            self.cfm_frame_of(now, &name, frame);
        }
    }

    /// An untagged CFM frame from an interface's socket.
    pub(crate) fn cfm_frame_by_socket(&mut self, now: Time, name: &str, frame: &[u8]) {
        if let Some((_, false)) = cfm_payload(frame) {
            self.cfm_frame_of(now, name, frame);
        }
    }

    fn cfm_frame_of(&mut self, now: Time, name: &str, frame: &[u8]) {
        let Some((payload, _)) = cfm_payload(frame) else { return };
        self.count_traffic(now, name, Monitor::Cfm);
        if let Some(Session::Cfm { session }) = self.session_mut(name, Monitor::Cfm) {
            session.handle(now, cfm_event(frame, payload));
            self.drain(name, Monitor::Cfm);
        }
    }

    /// A frame that one patch port sends arrives at the other.
    fn over_patch(&mut self, now: Time, from: &str, frame: &[u8]) {
        let Some(to) = self.links.get(from).and_then(|w| w.link.peer.clone()) else { return };
        match cfm_payload(frame) {
            Some(_) => self.cfm_frame_of(now, &to, frame),
            None => self.bfd_frame_of(now, &to, frame),
        }
    }

    /// The verdicts of an interface's sessions now; `None` = no such session.
    pub(crate) fn verdicts(&self, link: &str) -> [(Monitor, Option<bool>); 2] {
        let verdict = |monitor| {
            let run = self.links.get(link)?.sessions.get(&monitor)?;
            Some(run.session.verdict())
        };
        [Monitor::Bfd, Monitor::Cfm].map(|monitor| (monitor, verdict(monitor)))
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
        let chosen: Vec<String> = self
            .links
            .iter()
            .filter(|(name, w)| {
                link.is_none_or(|l| l == *name) && w.sessions.contains_key(&monitor)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in &chosen {
            self.input(now, name, monitor, Input::Override(forced));
        }
        link.is_none() || !chosen.is_empty()
    }

    fn sessions(&self, monitor: Monitor) -> impl Iterator<Item = &Session> {
        self.links.values().filter_map(move |w| Some(&w.sessions.get(&monitor)?.session))
    }

    pub(crate) fn bfds(&self, now: Time) -> Vec<BfdStatus> {
        let status = |s: &Session| match s {
            Session::Bfd { session, .. } => Some(session.status(now)),
            Session::Cfm { .. } => None,
        };
        self.sessions(Monitor::Bfd).filter_map(status).collect()
    }

    pub(crate) fn cfms(&self, now: Time) -> Vec<CfmStatus> {
        let status = |s: &Session| match s {
            Session::Cfm { session } => Some(session.status(now)),
            Session::Bfd { .. } => None,
        };
        self.sessions(Monitor::Cfm).filter_map(status).collect()
    }

    /// Verdicts that have changed, for the bonds.
    pub(crate) fn take_changes(&mut self) -> Vec<MonitorChange> {
        std::mem::take(&mut self.changes)
    }

    /// Sends and logs what could wait, and gives what the database should hold. Sessions that talk
    /// over patch ports may have changed their verdicts then.
    pub(crate) fn finish(&mut self, now: Time, sockets: &mut Sockets) -> Columns {
        while !self.later.is_empty() {
            for (name, later) in std::mem::take(&mut self.later) {
                match later {
                    Later::Send(frame) => self.send(now, &name, &frame, sockets),
                    Later::Notice(notice) => log(&name, &notice),
                }
            }
        }
        for name in std::mem::take(&mut self.touched) {
            let Some(w) = self.links.get_mut(&name) else { continue };
            for run in w.sessions.values_mut() {
                let column = Some(run.session.column());
                if run.reported == column {
                    continue;
                }
                run.reported = column.clone();
                match column {
                    Some(Column::Bfd(c)) => drop(self.columns.bfd.insert(name.clone(), Some(c))),
                    Some(Column::Cfm(c)) => drop(self.columns.cfm.insert(name.clone(), Some(c))),
                    None => {}
                }
            }
        }
        std::mem::take(&mut self.columns)
    }

    fn send(&mut self, now: Time, name: &str, frame: &[u8], sockets: &mut Sockets) {
        let Some(w) = self.links.get(name) else { return };
        let purpose = Purpose::Send { link: name.to_owned() };
        match sockets.send(&purpose, w.link.port_no, frame) {
            Sent::Done => {}
            // The device is down; the frame is lost as on the wire.
            Sent::Refused(e) => {
                runtime::dbg!(BFD, "{name}: cannot send health check ({e})"; "interface" => name)
            }
            Sent::NoPath => self.over_patch(now, name, frame),
        }
    }
}

/// The socket for untagged CFM messages, if CFM runs.
fn cfm_purpose(link: &WatchedLink) -> Option<Purpose> {
    let group = link.cfm.as_ref()?.destination();
    Some(Purpose::Cfm { link: link.name.clone(), group })
}

fn log(interface: &str, notice: &Notice) {
    let module = if notice.module == "cfm" { &CFM } else { &BFD };
    let level = match notice.level {
        bond::Level::Err => Level::Err,
        bond::Level::Warn => Level::Warn,
        bond::Level::Info => Level::Info,
        bond::Level::Dbg => Level::Dbg,
    };
    runtime::log_at_rl!(*module, RATE_LIMIT, level, "{}", notice.text; "interface" => interface);
}
