//! The links between a hypervisor's network cards and the switch at the top of the rack.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;

use super::packet::PacketSocket;
use super::tap::Tap;
use super::{Error, Netns};

/// The kind of device that a bond's members are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Members {
    /// veth pairs, whose lost carrier the kernel reports at once.
    Veth,
    /// Taps, which are like NICs: the kernel reports the lost carriers of all such devices at most
    /// once a second.
    Tap,
}

impl Members {
    /// Every kind, to run one test with each.
    pub const ALL: [Members; 2] = [Members::Veth, Members::Tap];
}

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Members::Veth => "veth",
            Members::Tap => "tap",
        })
    }
}

/// One link from a device of the hypervisor's to a port of the top of rack.
pub struct Cable {
    near: String,
    hv: Arc<Netns>,
    far: Far,
}

enum Far {
    Veth { tor: Arc<Netns>, name: String },
    Tap(Arc<TapEnd>),
}

/// A tap whose frames are lost while its carrier is off. The kernel passes them all the same.
pub struct TapEnd {
    tap: Tap,
    up: AtomicBool,
}

/// The calling thread runs before all others (SCHED_FIFO) until this is dropped.
struct RealTime;

impl RealTime {
    /// `None` without the privilege.
    fn begin() -> Option<RealTime> {
        set_scheduler(libc::SCHED_FIFO, 50).then_some(RealTime)
    }
}

impl Drop for RealTime {
    fn drop(&mut self) {
        set_scheduler(libc::SCHED_OTHER, 0);
    }
}

fn set_scheduler(policy: libc::c_int, priority: libc::c_int) -> bool {
    // SAFETY: all zero is a valid sched_param; 0 is the calling thread.
    unsafe {
        let mut param: libc::sched_param = std::mem::zeroed();
        param.sched_priority = priority;
        libc::sched_setscheduler(0, policy, &raw const param) == 0
    }
}

impl TapEnd {
    fn set_up(&self, up: bool) -> Result<(), Error> {
        // The call waits while another process holds RTNL; the link is up until then. As a real-time
        // thread this one is not interrupted between the cut and the store, so that no frame sent
        // after the cut counts as arrived.
        let real_time = RealTime::begin();
        if !up && real_time.is_none() {
            self.up.store(false, Ordering::SeqCst);
        }
        self.tap.set_carrier(up)?;
        self.up.store(up, Ordering::SeqCst);
        Ok(())
    }

    fn send(&self, frame: &[u8]) -> io::Result<()> {
        if self.up.load(Ordering::SeqCst) {
            self.tap.send(frame)
        } else {
            Err(io::Error::from_raw_os_error(libc::ENETDOWN))
        }
    }

    fn recv<'a>(&self, buf: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        let frame = self.tap.recv(buf)?;
        Ok(frame.filter(|_| self.up.load(Ordering::SeqCst)))
    }
}

impl Cable {
    /// Links the new device `nic<n>` of `hv`, up, with port `n` of the top of rack. For a veth pair
    /// that is the device `tor<n>` of `tor`; a tap's far end is this value itself.
    ///
    /// # Errors
    ///
    /// The devices cannot be made: no privilege, a name in use, `/dev/net/tun` not allowed.
    pub fn new(
        n: usize,
        members: Members,
        hv: &Arc<Netns>,
        tor: &Arc<Netns>,
    ) -> Result<Self, Error> {
        let near = format!("nic{n}");
        let far = match members {
            Members::Veth => {
                let name = format!("tor{n}");
                hv.veth(&near, tor, &name)?;
                Far::Veth { tor: tor.clone(), name }
            }
            Members::Tap => {
                Far::Tap(Arc::new(TapEnd { tap: Tap::new(hv, &near)?, up: AtomicBool::new(true) }))
            }
        };
        Ok(Cable { near, hv: hv.clone(), far })
    }

    /// As [`Cable::new`], for links 0 to `count` - 1.
    pub fn several(
        count: usize,
        members: Members,
        hv: &Arc<Netns>,
        tor: &Arc<Netns>,
    ) -> Result<Vec<Arc<Cable>>, Error> {
        (0..count).map(|n| Cable::new(n, members, hv, tor).map(Arc::new)).collect()
    }

    /// Cuts the link, so that the near device loses its carrier, or restores it.
    pub fn set_up(&self, up: bool) -> Result<(), Error> {
        match &self.far {
            Far::Veth { tor, name } => tor.rtnl().set_up(name, up),
            Far::Tap(tap) => tap.set_up(up),
        }
    }

    /// Frames that have arrived at the far end. A tap counts a frame when its far end reads it,
    /// which a [`Plug`] does.
    pub fn arrived(&self) -> Result<u64, Error> {
        match &self.far {
            Far::Veth { tor, name } => Ok(tor.rtnl().link(name)?.rx_packets),
            Far::Tap(_) => Ok(self.hv.rtnl().link(&self.near)?.tx_packets),
        }
    }
}

/// A cable's far end, plugged in: it sends and receives.
pub enum Plug {
    /// A packet socket on the far end of a veth pair.
    Socket(PacketSocket),
    /// The descriptor of a tap.
    Tap(Arc<TapEnd>),
}

impl Plug {
    /// Opens the far end of `cable`.
    ///
    /// # Errors
    ///
    /// The socket cannot be opened.
    pub fn new(cable: &Cable) -> Result<Plug, Error> {
        match &cable.far {
            Far::Veth { tor, name } => Ok(Plug::Socket(PacketSocket::open(tor, name)?)),
            Far::Tap(tap) => Ok(Plug::Tap(tap.clone())),
        }
    }

    /// Sends one frame, headers included, to the near device.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        match self {
            Plug::Socket(s) => s.send(frame),
            Plug::Tap(tap) => tap.send(frame),
        }
    }

    /// The next frame from the near device, if one waits.
    pub fn recv<'a>(&self, buf: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        match self {
            Plug::Socket(s) => s.recv(buf),
            Plug::Tap(tap) => tap.recv(buf),
        }
    }
}

impl AsRawFd for Plug {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Plug::Socket(s) => s.as_raw_fd(),
            Plug::Tap(end) => end.tap.as_raw_fd(),
        }
    }
}
