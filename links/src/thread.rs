//! The thread's loop: wait, take in what happened, publish, then do the rest.

mod compare;
mod configure;
mod link_events;
mod log;
mod loops;
mod probes;
mod standby;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bond::{Effect, MemberId, NotifyPackets, RevalidateReason};
use datapath::{Datapath, PortNo, UserspaceReason};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use netdev::link::LinkMonitor;
use ofproto::{Announcement, SlowPathQueue};
use wire::lacp::{slow_frame, slow_payload};
use wire::{EthAddr, Time};

use crate::comparison::Comparison;
use crate::followed::Followed;
use crate::handle::{BondError, Links, Request};
use crate::host_addresses::AddressWatch;
use crate::known::Known;
use crate::member_index::{MemberIndex, Place};
use crate::modules::{BOND, LACP};
use crate::monitors::Monitors;
use crate::port_driver::{Later, PortDriver};
use crate::priority::go_first;
use crate::prober::Prober;
use crate::queries::{DeviceQueries, Purpose, Queries, Query};
use crate::settings::LinkDevice;
use crate::sockets::{Sent, Sockets};
use crate::standby::Standbys;
use crate::updates::Outbox;
use runtime::clock::Clock;

const WAKER: Token = Token(0);
const MONITOR: Token = Token(1);
const FIRST_SOCKET: usize = 16;

/// How often a balanced bond learns what its buckets carried.
const LOAD_INTERVAL: Duration = Duration::from_secs(1);

/// Frames taken from one socket before others get their turn.
const FRAMES_A_TURN: usize = 64;
/// Frames taken from the datapath's queue before links and deadlines get their turn.
const SLOW_FRAMES_A_TURN: usize = 256;

/// What the thread needs of the rest.
pub struct Setup {
    /// The daemon's clock.
    pub clock: Clock,
    /// Where tables are published and frames are sent.
    pub datapath: Arc<dyn Datapath>,
    /// It gives the frames of slow protocols and sends learning packets.
    pub ofproto: Arc<ofproto::Ofproto>,
    /// Has the revalidator look at flows again for a reason; it must not wait.
    pub revalidate: Box<dyn Fn(RevalidateReason) + Send>,
    /// Wakes main when there are updates for it.
    pub main: Arc<Waker>,
    /// Asked on a thread of its own.
    pub queries: Box<dyn DeviceQueries>,
}

/// Starts the thread.
///
/// # Errors
///
/// The system's, when it gives no poll descriptor or no thread. Without rtnetlink the thread runs
/// and says so; links then look down unless miimon is used.
pub fn spawn(setup: Setup) -> io::Result<(Links, JoinHandle<()>)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let outbox = Arc::new(Outbox::new(setup.main.clone()));
    let (links, requests) = Links::new(waker.clone(), outbox.clone());
    let slow = Arc::new(SlowPathQueue::new(Box::new({
        let waker = waker.clone();
        // Fails only when the thread has gone.
        move || drop(waker.wake())
    })));
    setup.ofproto.set_slow_path(slow.clone());
    let monitor = LinkMonitor::new()?;
    let fd = monitor.fd();
    poll.registry().register(&mut SourceFd(&fd), MONITOR, Interest::READABLE)?;
    let prober = Prober::spawn(setup.datapath.clone(), waker.clone())?;
    let queries = Queries::spawn(setup.queries, waker.clone())?;
    let monitors = Monitors::new(setup.datapath.clone(), posix::random());
    let registry = poll.registry().try_clone()?;
    let closer = queries.closer();
    let sockets = Sockets::new(registry, FIRST_SOCKET, closer, setup.datapath.clone());
    let thread = Thread {
        poll,
        standbys: Standbys::new(waker.clone()),
        waker,
        requests,
        outbox,
        monitor,
        kernel: BTreeMap::new(),
        ports: BTreeMap::new(),
        sockets,
        members: MemberIndex::default(),
        followed: Followed::default(),
        next_load: None,
        comparison: Comparison::default(),
        later: Later::default(),
        lacp_reported: BTreeMap::new(),
        stop: false,
        slow,
        monitors,
        prober,
        queries,
        addresses: AddressWatch::spawn()?,
        clock: setup.clock,
        datapath: setup.datapath,
        ofproto: setup.ofproto,
        revalidate: setup.revalidate,
    };
    let handle = std::thread::Builder::new().name("links".to_owned()).spawn(move || {
        go_first();
        thread.run();
    })?;
    Ok((links, handle))
}

struct Thread {
    clock: Clock,
    datapath: Arc<dyn Datapath>,
    ofproto: Arc<ofproto::Ofproto>,
    revalidate: Box<dyn Fn(RevalidateReason) + Send>,
    poll: Poll,
    waker: Arc<Waker>,
    requests: Receiver<Request>,
    outbox: Arc<Outbox>,
    monitor: LinkMonitor,
    prober: Prober,
    standbys: Standbys,
    queries: Queries,
    addresses: AddressWatch,
    /// Every device of the kernel's, by index: a name may pass to another device.
    kernel: BTreeMap<u32, Known>,
    ports: BTreeMap<String, PortDriver>,
    sockets: Sockets,
    members: MemberIndex,
    followed: Followed,
    next_load: Option<Time>,
    comparison: Comparison,
    later: Later,
    /// What main was told last of LACP, by port and interface.
    lacp_reported: BTreeMap<String, BTreeMap<String, bool>>,
    stop: bool,
    /// Frames of devices without a socket of their own; filled on datapath threads.
    slow: Arc<SlowPathQueue>,
    monitors: Monitors,
}

impl Thread {
    fn run(mut self) {
        let mut events = Events::with_capacity(64);
        let waker = self.waker.clone();
        let participant = self.clock.register(Arc::new(move || {
            // Fails only when the thread has gone.
            let _ = waker.wake();
        }));
        self.first_list();
        while !self.stop {
            participant.done();
            let timeout = self.timeout();
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                // A process that was stopped comes here when it goes on, with deadlines that have
                // passed and frames that wait: those must be seen in this turn.
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                    let _ = self.poll.poll(&mut events, Some(Duration::ZERO));
                }
                Err(e) => {
                    runtime::err!(BOND, "links thread cannot wait for events ({e})");
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            let since = Instant::now();
            let now = participant.now();
            let mut busy = !events.is_empty() || self.deadline().is_some_and(|t| t <= now);
            // Links first: a dead one moves traffic before anything else is looked at.
            if events.iter().any(|e| matches!(e.token(), MONITOR | WAKER)) {
                self.read_links(since);
            }
            // Frames before deadlines: a partner is not silent because this thread was late.
            let ready: Vec<usize> =
                events.iter().map(|e| e.token().0).filter(|t| *t >= FIRST_SOCKET).collect();
            for token in ready {
                self.frames(token, since);
            }
            self.slow_frames();
            self.loops_by_rarp();
            self.deadlines(since);
            self.finish();
            while let Ok(request) = self.requests.try_recv() {
                busy = true;
                self.request(request);
                self.finish();
            }
            self.work_out_standbys();
            if busy {
                participant.busy();
            }
        }
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    /// When to act next: derived from the parts each time, stored nowhere.
    fn deadline(&self) -> Option<Time> {
        let devices = self.ports.values().flat_map(|p| &p.devices).filter_map(|d| d.deadline());
        let engines = self.ports.values().filter_map(PortDriver::deadline);
        let summaries = self.ports.values().filter_map(|p| p.limits.deadline());
        let engines = engines.chain(summaries);
        let next = self.next_load.into_iter().chain(self.comparison.deadline());
        devices.chain(engines).chain(next).chain(self.monitors.deadline()).min()
    }

    fn timeout(&self) -> Option<Duration> {
        self.clock.timeout(Some(self.deadline()?))
    }

    /// Polls devices, engines and loads that are due.
    fn deadlines(&mut self, since: Instant) {
        let now = self.now();
        let mut changed = false;
        for port in self.ports.values_mut() {
            for device in &mut port.devices {
                if device.deadline().is_some_and(|t| t <= now) {
                    device.polls(now);
                    let (port, name) = (port.name.clone(), device.member.name.clone());
                    self.queries.ask(Query::Mii { port, member: device.member.id, name });
                }
            }
            let due: Vec<(MemberId, bool)> = port
                .devices
                .iter_mut()
                .filter(|d| d.is_dummy())
                .filter_map(|d| Some((d.member.id, d.read()?)))
                .collect();
            for (member, up) in due {
                changed = true;
                port.carrier(now, member, up);
                port.drain(&*self.datapath, since, &mut self.later);
                runtime::dbg!(
                    BOND,
                    "bond {}: polled link change took {:?} to the table",
                    port.name,
                    since.elapsed(); "bond" => &port.name);
            }
            if port.tick(now, &*self.datapath) {
                port.drain(&*self.datapath, since, &mut self.later);
            }
        }
        self.monitors.tick(now);
        self.apply_verdicts(since);
        if self.next_load.is_some_and(|t| t <= now) {
            for port in self.ports.values_mut() {
                port.load(now, &*self.datapath);
                port.drain(&*self.datapath, since, &mut self.later);
            }
            self.next_load = Some(now + LOAD_INTERVAL);
        }
        self.compare_some(now);
        if changed {
            let states = self.member_states();
            self.outbox.put(|updates| updates.members.extend(states));
        }
    }

    /// Frames of one socket.
    fn frames(&mut self, token: usize, since: Instant) {
        let now = self.now();
        // Otherwise it was closed since the poll.
        let Some(purpose) = self.sockets.purpose(token).cloned() else { return };
        for _ in 0..FRAMES_A_TURN {
            let Some(frame) = self.sockets.recv(&purpose) else { break };
            match &purpose {
                Purpose::Lacp { port, member } => {
                    let Some(payload) = slow_payload(frame) else { continue };
                    if let Some(port) = self.ports.get_mut(port) {
                        port.lacpdu(now, *member, payload.to_vec());
                        port.drain(&*self.datapath, since, &mut self.later);
                    }
                }
                Purpose::Probe { port, member, vid, .. } => {
                    if let Some(port) = self.ports.get_mut(port) {
                        port.neighbour(now, *member, frame, Some(*vid));
                        port.drain(&*self.datapath, since, &mut self.later);
                    }
                }
                Purpose::Cfm { link, .. } => self.monitors.cfm_frame_by_socket(now, link, frame),
                // It receives nothing.
                Purpose::Send { .. } => {}
            }
        }
        self.sockets.rearm(&purpose);
        self.apply_verdicts(since);
    }

    /// Bonds hear what health checks have found out.
    fn apply_verdicts(&mut self, since: Instant) {
        let now = self.now();
        for change in self.monitors.take_changes() {
            let Some(place) = self.members.by_name(&change.link) else { continue };
            if let Some(port) = self.ports.get_mut(&place.port) {
                port.monitor(now, place.member, change.monitor, change.up);
                port.drain(&*self.datapath, since, &mut self.later);
            }
        }
    }

    /// What can wait until traffic has moved.
    fn finish(&mut self) {
        let columns = self.monitors.finish(self.now(), &mut self.sockets);
        self.apply_verdicts(Instant::now());
        if !columns.bfd.is_empty() || !columns.cfm.is_empty() {
            self.outbox.put(|updates| {
                updates.bfd.extend(columns.bfd);
                updates.cfm.extend(columns.cfm);
            });
        }
        while !self.later.effects.is_empty() {
            let mut active = BTreeMap::new();
            let mut current = BTreeMap::new();
            for (name, effect) in std::mem::take(&mut self.later.effects) {
                self.apply(&name, effect, &mut active, &mut current);
            }
            if !active.is_empty() || !current.is_empty() {
                self.outbox.put(|updates| {
                    updates.active.extend(active);
                    updates.lacp_current.extend(current);
                });
            }
        }
        self.request_standbys();
        self.report_lacp();
        self.summarize();
    }

    /// Tells main which interfaces LACP lets carry traffic, if that has changed.
    fn report_lacp(&mut self) {
        let mut changed = false;
        for name in std::mem::take(&mut self.later.touched) {
            let port = self.ports.get(&name);
            let now: BTreeMap<String, bool> = port
                .into_iter()
                .flat_map(PortDriver::lacp_may_enable)
                .map(|(name, may)| (name.to_owned(), may))
                .collect();
            if now.is_empty() {
                changed |= self.lacp_reported.remove(&name).is_some();
            } else if self.lacp_reported.get(&name) != Some(&now) {
                self.lacp_reported.insert(name, now);
                changed = true;
            }
        }
        if changed {
            let all = self.lacp_reported.values().flatten();
            let all = all.map(|(name, may)| (name.clone(), *may)).collect();
            self.outbox.put(|updates| updates.lacp_enable = Some(all));
        }
    }

    fn apply(
        &mut self,
        name: &str,
        effect: Effect,
        active: &mut BTreeMap<String, EthAddr>,
        current: &mut BTreeMap<String, Option<bool>>,
    ) {
        match effect {
            // `PortDriver::drain` has done it.
            Effect::Publish(_) => {}
            Effect::SendProbe { member, frame } => self.send_probe(name, member, &frame),
            Effect::SendLacpdu { member, pdu } | Effect::SendMarker { member, pdu } => {
                self.send_lacpdu(name, member, &pdu);
            }
            Effect::NotifyPeers(packets) => self.notify_peers(name, packets),
            Effect::PersistActiveMember(mac) => {
                active.insert(name.to_owned(), mac);
            }
            Effect::LacpCurrent { member, current: is } => {
                let device = self.ports.get(name).and_then(|p| p.device(member));
                if let Some(device) = device {
                    current.insert(device.member.name.clone(), is);
                }
            }
            Effect::Revalidate(reason) => (self.revalidate)(reason),
            Effect::QueryLink { member } => self.query_settings(name, member),
            Effect::Loopback { port, .. } => self.loop_by_lacp(name, port),
            Effect::Notice(notice) => self.log(name, &notice),
        }
    }

    fn notify_peers(&mut self, name: &str, packets: NotifyPackets) {
        let now = self.now();
        // A bond that has been removed since has nothing to announce.
        let Some(port) = self.ports.get_mut(name) else { return };
        port.announced = Some(now);
        let what = Announcement { packets, hosts: self.addresses.latest() };
        // Not waited for; a bond that is not in force yet has nothing to announce either.
        if let Err(ofproto::QueryError::Busy) = self.ofproto.notify_peers(&port.bridge, name, what)
        {
            runtime::warn!(BOND, "bond {name}: no learning packets, the datapath is stuck");
        }
    }

    fn send_lacpdu(&mut self, name: &str, member: MemberId, pdu: &[u8]) {
        let Some(port) = self.ports.get(name) else { return };
        let Some(device) = port.device(member) else { return };
        let frame = slow_frame(device.member.mac, pdu);
        let purpose = Purpose::Lacp { port: name.to_owned(), member };
        match self.sockets.send(&purpose, device.member.port_no, &frame) {
            Sent::Done => {}
            // The device is down; LACP sends again.
            Sent::Refused(e) => {
                runtime::dbg!(LACP, "{}: cannot send LACP PDU ({e})", device.member.name; "bond" => name, "member" => &device.member.name);
            }
            Sent::NoPath => {
                let LinkDevice::Patch { peer: Some(peer) } = &device.member.device else { return };
                let to = self.members.by_name(peer).cloned();
                self.lacpdu(to.as_ref(), pdu, Instant::now());
            }
        }
    }

    /// A LACPDU arrives at a member.
    fn lacpdu(&mut self, to: Option<&Place>, pdu: &[u8], since: Instant) {
        let now = self.now();
        let Some(Place { port, member }) = to else { return };
        if let Some(port) = self.ports.get_mut(port) {
            port.lacpdu(now, *member, pdu.to_vec());
            port.drain(&*self.datapath, since, &mut self.later);
        }
    }

    fn request(&mut self, request: Request) {
        let now = self.now();
        let since = Instant::now();
        match request {
            Request::Configure { ports, done } => {
                self.configure(ports);
                let _ = done.try_send(());
            }
            Request::Follow { names, done } => {
                self.read_links(since);
                self.follow(names);
                let _ = done.try_send(());
            }
            Request::Bond { port, command, done } => {
                let running = self.ports.get_mut(&port);
                let answer = running.and_then(|p| p.command(now, command));
                if let Some(p) = self.ports.get_mut(&port) {
                    p.drain(&*self.datapath, since, &mut self.later);
                }
                let _ = done.try_send(match answer {
                    None => Err(BondError::NoSuchBond),
                    Some(result) => result.map_err(Into::into),
                });
            }
            Request::Bonds { done } => {
                let _ =
                    done.try_send(self.ports.values().filter_map(|p| p.bond_view(now)).collect());
            }
            Request::Lacps { done } => {
                let _ =
                    done.try_send(self.ports.values().filter_map(PortDriver::lacp_view).collect());
            }
            Request::Links { done } => {
                let devices = self.ports.values().flat_map(|p| &p.devices);
                let _ = done.try_send(devices.map(|d| d.view()).collect());
            }
            Request::Watch { links, done } => {
                self.monitors.configure(now, links);
                self.sync_sockets();
                self.apply_verdicts(since);
                let _ = done.try_send(());
            }
            Request::Bfds { done } => drop(done.try_send(self.monitors.bfds(now))),
            Request::Cfms { done } => drop(done.try_send(self.monitors.cfms(now))),
            Request::Force { monitor, link, forced, done } => {
                let known = self.monitors.force(now, monitor, link.as_deref(), forced);
                self.apply_verdicts(since);
                let _ = done.try_send(known);
            }
            Request::Sync { done } => {
                self.deadlines(since);
                let _ = done.try_send(());
            }
            Request::Stop => self.stop = true,
        }
    }

    /// Frames that came by the datapath.
    fn slow_frames(&mut self) {
        let now = self.now();
        for taken in 0.. {
            if taken == SLOW_FRAMES_A_TURN {
                // A flood must not keep deadlines and links waiting. Fails only at exit.
                let _ = self.waker.wake();
                return;
            }
            let Some(frame) = self.slow.pop() else { return };
            match frame.reason {
                UserspaceReason::Lacp => {
                    if let Some(payload) = slow_payload(&frame.frame) {
                        self.slow(frame.in_port, payload);
                    }
                }
                UserspaceReason::Bfd => {
                    self.monitors.bfd_frame(now, frame.in_port, &frame.frame);
                }
                UserspaceReason::Cfm => {
                    self.monitors.cfm_frame(now, frame.in_port, &frame.frame, &self.sockets);
                }
                UserspaceReason::Probe => self.probe_answer(frame.in_port, &frame.frame),
                // None of a link's own protocols.
                UserspaceReason::Stp
                | UserspaceReason::Lldp
                | UserspaceReason::Controller
                | UserspaceReason::Action
                | UserspaceReason::Match => {}
            }
            self.apply_verdicts(Instant::now());
        }
    }

    /// A LACPDU that came by the datapath. A member with a socket has received it there.
    fn slow(&mut self, port_no: PortNo, payload: &[u8]) {
        let Some(place) = self.members.by_port_no(port_no).cloned() else { return };
        let Place { port, member } = place.clone();
        if !self.sockets.is_open(&Purpose::Lacp { port, member }) {
            self.lacpdu(Some(&place), payload, Instant::now());
        }
    }
}
