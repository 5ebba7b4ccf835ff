//! Namespaces, devices and frames for the tests: made by netlink, no outside tools.
// Every test program uses a part of this.
#![allow(dead_code, unreachable_pub)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use netdev::{Packet, PacketIo};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

const INNER: &str = "BRAID_NETDEV_TEST_INNER";
/// IEEE 802 local experimental EtherType: nobody but the test sends such frames.
pub const TEST_TYPE: u16 = 0x88b5;

fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    if unsafe { libc::unshare(flags) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Runs `test` in a thread with a network namespace of its own. An ordinary user gets that in a
/// user namespace, for which the test program starts itself anew. `name` is the test's own name.
pub fn isolated(name: &str, test: impl FnOnce() + Send + 'static) {
    let result = std::thread::spawn(move || match unshare(libc::CLONE_NEWNET) {
        Ok(()) => {
            test();
            true
        }
        Err(_) => false,
    })
    .join();
    match result {
        Ok(true) => {}
        Ok(false) => isolated_as_user(name),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn isolated_as_user(name: &str) {
    let skip = |why: &dyn std::fmt::Display| -> ! {
        harness::skip(format!("no network namespace to be had here ({why}); run as root"))
    };
    if std::env::var_os(INNER).is_some() {
        skip(&"not even in a user namespace");
    }
    // SAFETY: these read process attributes.
    let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
    let mut c = Command::new(std::env::current_exe().unwrap());
    c.args(["--exact", name, "--nocapture"]).env(INNER, "1");
    let ready = move || {
        unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)?;
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
    };
    // SAFETY: the child has one thread; it writes three files before it becomes the new program.
    unsafe { c.pre_exec(ready) };
    let out = c.output().unwrap_or_else(|e| skip(&e));
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{name} failed in its user namespace: {text}");
    if text.contains("1 ignored") {
        harness::skip(text);
    }
}

/// Skips the test where no taps can be made.
pub fn taps() {
    if let Err(e) = File::options().read(true).write(true).open("/dev/net/tun") {
        harness::skip(format!("/dev/net/tun cannot be opened ({e}); run as root"));
    }
}

/// A network namespace that lives as long as this value.
pub struct Netns(OwnedFd);

impl Netns {
    pub fn new() -> Netns {
        std::thread::spawn(|| {
            unshare(libc::CLONE_NEWNET).unwrap();
            Netns::current()
        })
        .join()
        .unwrap()
    }

    /// The calling thread's.
    pub fn current() -> Netns {
        Netns(File::open("/proc/thread-self/ns/net").unwrap().into())
    }

    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Starts `f` in a thread inside this namespace.
    pub fn spawn<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        let fd = self.0.try_clone().unwrap();
        std::thread::spawn(move || {
            // SAFETY: no memory is passed.
            assert_eq!(unsafe { libc::setns(fd.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
            f()
        })
    }

    /// Runs `f` inside this namespace.
    pub fn run<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        self.spawn(f).join().unwrap_or_else(|e| std::panic::resume_unwind(e))
    }
}

fn talk(message: RouteNetlinkMessage, flags: u16) {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    let mut m = NetlinkMessage::new(header, NetlinkPayload::from(message));
    m.finalize();
    let mut buf = vec![0; m.buffer_len()];
    m.serialize(&mut buf);
    let s = Socket::new(NETLINK_ROUTE).unwrap();
    s.connect(&SocketAddr::new(0, 0)).unwrap();
    s.send(&buf, 0).unwrap();
    let (answer, _) = s.recv_from_full().unwrap();
    let code = i32::from_ne_bytes(answer[16..20].try_into().unwrap());
    assert_eq!(code, 0, "netlink says {}", io::Error::from_raw_os_error(-code));
}

/// A veth pair: `name` here, `peer` in another namespace. Both up.
pub fn veth(name: &str, peer: &str, peer_ns: &Netns) {
    let mut other = LinkMessage::default();
    other.attributes =
        vec![LinkAttribute::IfName(peer.into()), LinkAttribute::NetNsFd(peer_ns.fd())];
    let mut m = LinkMessage::default();
    m.attributes = vec![
        LinkAttribute::IfName(name.into()),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(other))),
        ]),
    ];
    talk(RouteNetlinkMessage::NewLink(m), NLM_F_CREATE | NLM_F_EXCL);
    netdev::link::set_up(name, true).unwrap();
    let peer = peer.to_owned();
    peer_ns.run(move || netdev::link::set_up(&peer, true).unwrap());
    let what = format!("carrier of {name}");
    until(&what, || netdev::link::get(name).unwrap().carrier);
}

pub fn delete(name: &str) {
    let mut m = LinkMessage::default();
    m.header.index = netdev::link::get(name).unwrap().ifindex;
    talk(RouteNetlinkMessage::DelLink(m), 0);
}

pub fn move_to(name: &str, ns: &Netns) {
    let mut m = LinkMessage::default();
    m.header.index = netdev::link::get(name).unwrap().ifindex;
    m.attributes = vec![LinkAttribute::NetNsFd(ns.fd())];
    talk(RouteNetlinkMessage::SetLink(m), 0);
}

pub fn rename(name: &str, to: &str) {
    let mut m = LinkMessage::default();
    m.header.index = netdev::link::get(name).unwrap().ifindex;
    m.attributes = vec![LinkAttribute::IfName(to.into())];
    talk(RouteNetlinkMessage::SetLink(m), 0);
}

/// Gives a device an IPv4 address of a /24.
pub fn set_address(name: &str, address: [u8; 4]) {
    let index = netdev::link::get(name).unwrap().ifindex;
    let mut m = netlink_packet_route::address::AddressMessage::default();
    m.header.family = netlink_packet_route::AddressFamily::Inet;
    m.header.prefix_len = 24;
    m.header.index = index;
    let ip = std::net::IpAddr::from(address);
    use netlink_packet_route::address::AddressAttribute as A;
    m.attributes = vec![A::Local(ip), A::Address(ip)];
    talk(RouteNetlinkMessage::NewAddress(m), NLM_F_CREATE | NLM_F_EXCL);
}

/// Waits for something that takes the kernel a moment; five seconds at most.
pub fn until(what: &str, mut test: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !test() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Is the descriptor readable, or in error, within `ms`?
pub fn readable(fd: RawFd, ms: i32) -> bool {
    let mut p = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry, alive.
    unsafe { libc::poll(&mut p, 1, ms) > 0 }
}

/// A test frame of `len` octets, of which every one depends on `number`.
pub fn frame(number: u32, len: usize) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    f.extend(TEST_TYPE.to_be_bytes());
    f.extend(number.to_be_bytes());
    f.extend((f.len()..len).map(|i| (i as u32 * 31 + number) as u8));
    f
}

/// The frame with a tag after its addresses.
pub fn tagged(frame: &[u8], tpid: u16, tci: u16) -> Vec<u8> {
    let tag = [tpid.to_be_bytes(), tci.to_be_bytes()].concat();
    [&frame[..12], &tag, &frame[12..]].concat()
}

/// Sends whole frames on a device, by the plainest means there is.
pub fn inject(name: &str, frames: &[Vec<u8>]) {
    let index = netdev::link::get(name).unwrap().ifindex;
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) };
    assert!(fd >= 0);
    // SAFETY: just made.
    let fd = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(fd) };
    // SAFETY: all-zero is a valid sockaddr_ll.
    let mut a: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    a.sll_family = libc::AF_PACKET as u16;
    a.sll_ifindex = index as i32;
    let len = size_of::<libc::sockaddr_ll>() as u32;
    for f in frames {
        // SAFETY: the kernel reads the frame and the address, as long as it is told.
        let n = unsafe {
            libc::sendto(fd.as_raw_fd(), f.as_ptr().cast(), f.len(), 0, (&raw const a).cast(), len)
        };
        assert_eq!(n, f.len() as isize, "{}", io::Error::last_os_error());
    }
}

/// Runs tc(8) in the calling thread's namespace. Skips the test where it cannot do it.
pub fn tc(words: &str) {
    let why = match Command::new("tc").args(words.split(' ')).output() {
        Ok(o) if o.status.success() => return,
        Ok(o) => String::from_utf8_lossy(&o.stderr).into_owned(),
        Err(e) => e.to_string(),
    };
    harness::skip(format!("tc {words}: {why}"));
}

/// Sees all frames of a device, those that it sends too: tcpdump(8) in small.
pub struct Capture(OwnedFd);

impl Capture {
    pub fn new(name: &str) -> Capture {
        let all = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: all-zero is a valid sockaddr_ll.
        let mut a: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        a.sll_family = libc::AF_PACKET as u16;
        a.sll_protocol = all;
        a.sll_ifindex = netdev::link::get(name).unwrap().ifindex as i32;
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) };
        assert!(fd >= 0);
        // SAFETY: just made.
        let fd = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(fd) };
        let len = size_of::<libc::sockaddr_ll>() as u32;
        // SAFETY: the kernel reads the address, as long as it is told.
        assert_eq!(unsafe { libc::bind(fd.as_raw_fd(), (&raw const a).cast(), len) }, 0);
        Capture(fd)
    }

    /// The next test frame.
    pub fn next(&self) -> Vec<u8> {
        let mut buf = vec![0; 2048];
        loop {
            assert!(readable(self.0.as_raw_fd(), 5000), "no frame was captured");
            // SAFETY: the buffer is as long as the kernel is told.
            let n = unsafe {
                libc::recv(
                    self.0.as_raw_fd(),
                    buf.as_mut_ptr().cast(),
                    buf.len(),
                    libc::MSG_DONTWAIT,
                )
            };
            if n > 0 && is_test_frame(&buf[..n as usize]) {
                return buf[..n as usize].to_vec();
            }
        }
    }
}

/// Is it one of ours, and not what an IP stack says on its own?
pub fn is_test_frame(f: &[u8]) -> bool {
    let mut at = 12;
    while matches!(f.get(at..at + 2), Some([0x81, 0] | [0x88, 0xa8])) {
        at += 4;
    }
    f.get(at..at + 2) == Some(&TEST_TYPE.to_be_bytes())
}

/// Copies of the next `n` test frames that arrive.
pub fn receive(io: &mut dyn PacketIo, n: usize) -> Vec<Packet> {
    let mut got = Vec::new();
    let mut batch = Vec::new();
    let end = Instant::now() + Duration::from_secs(5);
    while got.len() < n {
        assert!(Instant::now() < end, "only {} of {n} frames came", got.len());
        if io.recv(&mut batch, 32) == 0 {
            readable(io.fd().unwrap(), 20);
        }
        got.extend(batch.iter().filter(|p| is_test_frame(p.data())).map(|p| p.to_owned_packet()));
        batch.clear();
        // SAFETY: the originals are gone.
        unsafe { io.release() };
    }
    got
}

/// Sends frames and flushes.
pub fn transmit(io: &mut dyn PacketIo, frames: &[Packet]) {
    for p in frames {
        // SAFETY: flushed below, while `frames` is borrowed.
        unsafe { io.send(p) };
    }
    io.flush();
}
