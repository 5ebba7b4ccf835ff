//! The carrier from sysfs, ahead of the kernel's report and without its lock.
//!
//! The kernel reports a lost carrier of a device that has no other below it (NICs, taps) at most
//! once a second for the whole machine (`net/core/link_watch.c`), and answers rtnetlink, ethtool
//! and sysfs `carrier` only under its lock for network configuration (RTNL), which another process
//! may hold for long. sysfs `carrier_changes` (Documentation/ABI/testing/sysfs-class-net) needs no
//! lock: it is a sum of two counters that `netif_carrier_on()` and `netif_carrier_off()` count in
//! the moment of the change. With one known pair of carrier and count, the count alone tells the
//! carrier from then on: an odd difference means the other state, an even one that it changed and
//! changed back.
//!
//! A sysfs mount shows the devices of the network namespace in which it was mounted, which need
//! not be ours. So one is mounted here, attached to no folder; where that is not allowed
//! (`CAP_SYS_ADMIN`), `/sys` is used for devices that are the same there by index and address.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use wire::EthAddr;

/// sysfs of this network namespace.
pub struct SysNet {
    /// Its root folder.
    root: OwnedFd,
    /// Mounted by this process, so that it shows this network namespace.
    own: bool,
}

impl SysNet {
    /// Mounts sysfs for the calling thread's network namespace, or else takes `/sys`.
    ///
    /// # Errors
    ///
    /// sysfs cannot be mounted, and there is no `/sys`.
    pub fn open() -> io::Result<SysNet> {
        match mount() {
            Ok(root) => Ok(SysNet { root, own: true }),
            Err(_) => SysNet::of_the_system(),
        }
    }

    /// `/sys` of the system. Whether it shows this network namespace is checked for each device.
    ///
    /// # Errors
    ///
    /// There is no `/sys`.
    pub fn of_the_system() -> io::Result<SysNet> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        Ok(SysNet { root: open_at(CWD, "/sys", flags)?, own: false })
    }

    /// Whether it is a mount of our own, so that every device in it is of this network namespace.
    pub fn is_own(&self) -> bool {
        self.own
    }

    /// Opens the count of a device's carrier changes. It follows the device through changes of
    /// its name.
    ///
    /// # Errors
    ///
    /// No such device, or not the same one: the index differs, or the address in a `/sys` that may
    /// be another namespace's. Kernels before 3.15 count nothing.
    pub fn carrier_changes(
        &self,
        name: &str,
        ifindex: u32,
        mac: EthAddr,
    ) -> io::Result<CarrierChanges> {
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let folder = open_at(&self.root, &format!("class/net/{name}"), flags)?;
        let file = |what: &str| open_at(&folder, what, OFlags::RDONLY);
        let mut buf = [0; 64];
        let other = || io::Error::from_raw_os_error(libc::ENODEV);
        if read_number(&file("ifindex")?)? != ifindex {
            return Err(other());
        }
        if !self.own {
            let said = read(&file("address")?, &mut buf)?;
            let said = std::str::from_utf8(said).ok().and_then(|s| s.trim().parse().ok());
            if said != Some(mac) {
                return Err(other());
            }
        }
        let changes = CarrierChanges(file("carrier_changes")?);
        changes.read()?;
        Ok(changes)
    }
}

/// One device's count of carrier changes.
pub struct CarrierChanges(OwnedFd);

impl CarrierChanges {
    /// How often the carrier has changed, wrapping: what
    /// [`LinkInfo::carrier_changes`](super::LinkInfo) says, of this moment. Takes one or two
    /// microseconds and waits for no lock of the network's.
    ///
    /// # Errors
    ///
    /// `ENODEV` once the device is gone.
    pub fn read(&self) -> io::Result<u32> {
        read_number(&self.0)
    }
}

/// sysfs for the calling thread's network namespace, attached nowhere.
fn mount() -> io::Result<OwnedFd> {
    let context = fsopen("sysfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

fn open_at(folder: impl AsFd, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(folder, path, flags | OFlags::CLOEXEC, Mode::empty())?)
}

fn read<'a>(file: &OwnedFd, buf: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let n = rustix::io::pread(file, &mut *buf, 0)?;
    Ok(&buf[..n])
}

fn read_number(file: &OwnedFd) -> io::Result<u32> {
    let mut buf = [0; 16];
    let text = std::str::from_utf8(read(file, &mut buf)?.trim_ascii());
    let number: Option<i64> = text.ok().and_then(|t| t.parse().ok());
    // A sum of two counters is printed as a signed number: it wraps after 2^31 changes.
    number.map(|n| n as u32).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
