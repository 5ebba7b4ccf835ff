//! Links and addresses by rtnetlink, one request at a time.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use wire::EthAddr;

use super::Error;

/// What the kernel says of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Interface index.
    pub index: u32,
    /// Ethernet address.
    pub mac: EthAddr,
    /// MTU in bytes.
    pub mtu: u32,
    /// `IFF_UP`: what was asked for.
    pub up: bool,
    /// `IFF_LOWER_UP`: what the other end says.
    pub carrier: bool,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
}

/// An rtnetlink socket of the namespace that it was opened in.
pub struct Rtnl {
    socket: Socket,
    sequence: u32,
}

impl Rtnl {
    /// Opens a socket in the calling thread's namespace.
    pub fn open() -> Result<Rtnl, Error> {
        let open = || -> io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(socket)
        };
        let socket = open().map_err(|e| Error::io("cannot open a netlink socket", e))?;
        Ok(Rtnl { socket, sequence: 0 })
    }

    /// Makes a veth pair, both ends down, the other end in the namespace of `other`.
    pub fn add_veth(&mut self, name: &str, other: RawFd, other_name: &str) -> Result<(), Error> {
        // Where both ends have the same index, each in its namespace, the kernel takes a change
        // of carrier for one that may wait up to a second (linkwatch_urgent_event). A real NIC's
        // does not wait.
        static INDEX: AtomicU32 = AtomicU32::new(1000);
        let index = INDEX.fetch_add(2, Ordering::Relaxed);
        let mut peer = named(other_name);
        peer.header.index = index + 1;
        peer.attributes.push(LinkAttribute::NetNsFd(other));
        let mut link = named(name);
        link.header.index = index;
        link.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        self.ask(
            &format!("cannot make the veth pair {name} and {other_name}"),
            RouteNetlinkMessage::NewLink(link),
            NLM_F_CREATE | NLM_F_EXCL,
        )
        .map(drop)
    }

    /// Sets the link up or down. Its peer loses carrier before this returns.
    pub fn set_up(&mut self, name: &str, up: bool) -> Result<(), Error> {
        let mut link = named(name);
        link.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
        link.header.change_mask = LinkFlags::Up;
        let what = format!("cannot set {name} {}", if up { "up" } else { "down" });
        self.ask(&what, RouteNetlinkMessage::SetLink(link), 0).map(drop)
    }

    /// Sets a device's Ethernet address.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn set_mac(&mut self, name: &str, mac: EthAddr) -> Result<(), Error> {
        let mut link = named(name);
        link.attributes.push(LinkAttribute::Address(mac.0.to_vec()));
        let what = format!("cannot give {name} the address {mac}");
        self.ask(&what, RouteNetlinkMessage::SetLink(link), 0).map(drop)
    }

    /// Sets a device's MTU in bytes.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn set_mtu(&mut self, name: &str, mtu: u32) -> Result<(), Error> {
        let mut link = named(name);
        link.attributes.push(LinkAttribute::Mtu(mtu));
        let what = format!("cannot give {name} an MTU of {mtu}");
        self.ask(&what, RouteNetlinkMessage::SetLink(link), 0).map(drop)
    }

    /// Gives the link another name. Older kernels refuse while it is up.
    pub fn rename(&mut self, name: &str, to: &str) -> Result<(), Error> {
        let mut link = named(to);
        link.header.index = self.link(name)?.index;
        let what = format!("cannot rename {name} to {to}");
        self.ask(&what, RouteNetlinkMessage::SetLink(link), 0).map(drop)
    }

    /// Moves the link to another namespace, where it arrives down.
    pub fn move_to(&mut self, name: &str, other: RawFd) -> Result<(), Error> {
        let mut link = named(name);
        link.attributes.push(LinkAttribute::NetNsFd(other));
        let what = format!("cannot move {name} to another namespace");
        self.ask(&what, RouteNetlinkMessage::SetLink(link), 0).map(drop)
    }

    /// Deletes a device.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn delete(&mut self, name: &str) -> Result<(), Error> {
        let what = format!("cannot delete {name}");
        self.ask(&what, RouteNetlinkMessage::DelLink(named(name)), 0).map(drop)
    }

    /// Adds an IPv4 address with a prefix length of 0 to 32 bits.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn add_address(&mut self, name: &str, ip: Ipv4Addr, prefix: u8) -> Result<(), Error> {
        let index = self.link(name)?.index;
        let mut m = AddressMessage::default();
        m.header.family = AddressFamily::Inet;
        m.header.prefix_len = prefix;
        m.header.index = index;
        m.attributes.push(AddressAttribute::Local(ip.into()));
        m.attributes.push(AddressAttribute::Address(ip.into()));
        let what = format!("cannot give {name} the address {ip}/{prefix}");
        self.ask(&what, RouteNetlinkMessage::NewAddress(m), NLM_F_CREATE).map(drop)
    }

    /// What the kernel says of the link; an error if there is none.
    pub fn link(&mut self, name: &str) -> Result<Link, Error> {
        let what = format!("cannot look at {name}");
        let request = RouteNetlinkMessage::GetLink(named(name));
        let answer = self.ask(&what, request, 0)?;
        let Some(RouteNetlinkMessage::NewLink(m)) = answer else {
            let source = io::Error::new(io::ErrorKind::InvalidData, "the answer is no link");
            return Err(Error::Netlink { what, source });
        };
        let mut link = Link {
            index: m.header.index,
            up: m.header.flags.contains(LinkFlags::Up),
            carrier: m.header.flags.contains(LinkFlags::LowerUp),
            ..Link::default()
        };
        for a in m.attributes {
            match a {
                LinkAttribute::Address(mac) => {
                    if let Ok(mac) = mac.try_into() {
                        link.mac = EthAddr(mac);
                    }
                }
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::Stats64(s) => {
                    link.rx_packets = s.rx_packets;
                    link.tx_packets = s.tx_packets;
                    link.rx_bytes = s.rx_bytes;
                    link.tx_bytes = s.tx_bytes;
                }
                _ => {}
            }
        }
        Ok(link)
    }

    /// Sends a request and reads up to its acknowledgement; gives what came before it.
    fn ask(
        &mut self,
        what: &str,
        request: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Option<RouteNetlinkMessage>, Error> {
        self.exchange(request, flags)
            .map_err(|source| Error::Netlink { what: what.to_owned(), source })
    }

    fn exchange(
        &mut self,
        request: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<Option<RouteNetlinkMessage>> {
        self.sequence += 1;
        let mut message = NetlinkMessage::from(request);
        message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut buf = vec![0; message.buffer_len()];
        message.serialize(&mut buf);
        self.socket.send(&buf, 0)?;

        let invalid = |e: &dyn std::fmt::Display| {
            io::Error::new(io::ErrorKind::InvalidData, format!("unreadable answer: {e}"))
        };
        let mut found = None;
        loop {
            let (answer, _) = self.socket.recv_from_full()?;
            let mut rest = &answer[..];
            while rest.len() >= 16 {
                let m = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .map_err(|e| invalid(&e))?;
                let len = (m.header.length as usize).next_multiple_of(4).min(rest.len());
                rest = &rest[len.max(16)..];
                if m.header.sequence_number != self.sequence {
                    continue;
                }
                match m.payload {
                    NetlinkPayload::Error(e) => {
                        return match e.code {
                            None => Ok(found),
                            Some(_) => Err(e.to_io()),
                        };
                    }
                    NetlinkPayload::InnerMessage(inner) => found = Some(inner),
                    _ => {}
                }
            }
        }
    }
}

fn named(name: &str) -> LinkMessage {
    let mut m = LinkMessage::default();
    m.attributes.push(LinkAttribute::IfName(name.to_owned()));
    m
}
