//! A health check of either kind: BFD or CFM.

use bond::monitor::bfd::{self, BfdColumn};
use bond::monitor::cfm::{self, CfmColumns};
use bond::{Monitor, Notice};
use wire::bfd::Path;
use wire::{EthAddr, Time};

use crate::cfm_frame::cfm_frame;
use crate::settings::WatchedLink;

/// What can happen to a session of either kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input {
    /// [`Session::next_deadline`] has come.
    Deadline,
    /// Packets that the interface has received in all.
    Traffic { rx_packets: u64 },
    /// An operator overrides the verdict, or no longer does.
    Override(Option<bool>),
}

/// What a session wants done.
pub(crate) enum Output {
    /// The interface is usable, or not.
    Verdict(bool),
    /// A whole Ethernet frame.
    Send(Vec<u8>),
    Notice(Notice),
}

/// What the database shows of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Bfd(BfdColumn),
    Cfm(CfmColumns),
}

/// A session.
pub(crate) enum Session {
    Bfd { session: bfd::Session, src_port: u16 },
    Cfm { session: cfm::Session },
}

impl Session {
    pub(crate) fn handle(&mut self, now: Time, input: Input) {
        match self {
            Session::Bfd { session, .. } => session.handle(
                now,
                match input {
                    Input::Deadline => bfd::Event::Deadline,
                    Input::Traffic { rx_packets } => bfd::Event::Traffic { rx_packets },
                    Input::Override(forced) => bfd::Event::Override(forced),
                },
            ),
            Session::Cfm { session } => session.handle(
                now,
                match input {
                    Input::Deadline => cfm::Event::Deadline,
                    Input::Traffic { rx_packets } => cfm::Event::Traffic { rx_packets },
                    Input::Override(forced) => cfm::Event::Override(forced),
                },
            ),
        }
    }

    /// The next thing to do; `link` gives addresses.
    pub(crate) fn poll_output(&mut self, link: &WatchedLink) -> Option<Output> {
        Some(match self {
            Session::Bfd { session, src_port } => match session.poll_effect()? {
                bfd::Effect::Forwarding(up) => Output::Verdict(up),
                bfd::Effect::Send(payload) => {
                    let want = link.bfd.as_ref()?;
                    let path = Path {
                        dst_mac: want.dst_mac,
                        src_mac: want.src_mac.unwrap_or(link.mac),
                        src_ip: want.src_ip,
                        dst_ip: want.dst_ip,
                        src_port: *src_port,
                    };
                    Output::Send(path.frame(&payload))
                }
                bfd::Effect::Notice(n) => Output::Notice(n),
            },
            Session::Cfm { session } => match session.poll_effect()? {
                cfm::Effect::Up(up) => Output::Verdict(up),
                cfm::Effect::Send { destination, tci, payload } => {
                    Output::Send(cfm_frame(destination, link.mac, tci, &payload))
                }
                cfm::Effect::Notice(n) => Output::Notice(n),
            },
        })
    }

    pub(crate) fn next_deadline(&self) -> Time {
        match self {
            Session::Bfd { session, .. } => session.next_deadline(),
            Session::Cfm { session } => session.next_deadline(),
        }
    }

    /// Whether [`Input::Traffic`] is to come before each other input.
    pub(crate) fn wants_traffic(&self) -> bool {
        match self {
            Session::Bfd { session, .. } => session.wants_traffic(),
            Session::Cfm { session } => session.wants_traffic(),
        }
    }

    /// Whether the interface is usable.
    pub(crate) fn verdict(&self) -> bool {
        match self {
            Session::Bfd { session, .. } => session.forwarding(),
            Session::Cfm { session } => session.up(),
        }
    }

    pub(crate) fn column(&self) -> Column {
        match self {
            Session::Bfd { session, .. } => Column::Bfd(session.column()),
            Session::Cfm { session } => Column::Cfm(session.columns()),
        }
    }

    pub(crate) fn monitor(&self) -> Monitor {
        match self {
            Session::Bfd { .. } => Monitor::Bfd,
            Session::Cfm { .. } => Monitor::Cfm,
        }
    }
}

/// A BFD packet as an event, if it is one that this interface's session is to take: the flow that
/// brought it to the switch may be older than the configuration.
pub(crate) fn bfd_event(link: &WatchedLink, frame: &[u8]) -> Option<bfd::Event> {
    let got = wire::bfd::receive(frame)?;
    let own = link.bfd.as_ref()?.own();
    let same_mac = own.dst_mac.is_none_or(|mac: EthAddr| mac == got.dst_mac);
    let same_ip = own.dst_ip.is_none_or(|ip| ip == got.dst_ip);
    (same_mac && same_ip)
        .then(|| bfd::Event::Packet { payload: got.payload.to_vec(), ttl: got.ttl })
}
