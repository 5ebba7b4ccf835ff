//! Internal devices from one run of the daemon to the next.
//!
//! They are persistent taps: the kernel keeps them, with addresses and routes, when the daemon
//! ends in whatever way, and the next daemon attaches to them again by their name. They end with
//! their port, with `exit --cleanup`, and, for those whose port was removed from the database
//! while no daemon ran, at the next start. For that, their names are in a file in the run
//! directory. A tap is in the file before it is made persistent, so that none is forgotten.
//!
//! Taps of a run with another database stay: an operator who has given the wrong database must not
//! lose the host's addresses.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use netdev::io::internal::{self, TapHandle};
use netdev::link;
use ovsdb::Uuid;
use serde::{Deserialize, Serialize};

use super::device::Attached;
use crate::modules::BRIDGE;
use config::DeviceKind;

/// The file's name in the run directory.
const FILE: &str = "ovs-vswitchd.taps";

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// Names and indexes mean something until the next boot and in one network namespace.
    boot: String,
    netns: u64,
    /// The UUID of the `Open_vSwitch` row.
    database: Option<String>,
    /// The devices' indexes, by name.
    taps: BTreeMap<String, u32>,
}

/// The book-keeping of taps.
#[derive(Debug, Default)]
pub(super) struct Taps {
    /// `None`: nothing is kept, and taps end with the daemon.
    file: Option<PathBuf>,
    pub(super) database: Option<Uuid>,
    /// What the file holds; `None` before it has been read, which another daemon may write until
    /// this one has the database's lock.
    record: Option<Record>,
}

impl Taps {
    pub(super) fn new(rundir: &Path) -> Taps {
        Taps { file: Some(rundir.join(FILE)), ..Taps::default() }
    }

    fn here(&self) -> Record {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Record {
            boot: boot.trim_end().to_owned(),
            netns: fs::metadata("/proc/thread-self/ns/net").map_or(0, |m| m.ino()),
            database: self.database.map(|uuid| uuid.to_string()),
            taps: BTreeMap::new(),
        }
    }

    /// Before devices are opened: removes the taps of an earlier run that `wanted` does not name.
    pub(super) fn begin(&mut self, wanted: impl Fn(&str) -> bool) {
        let Some(file) = self.file.as_ref().filter(|_| self.record.is_none()) else { return };
        let here = self.here();
        let text = fs::read(file).unwrap_or_default();
        let before: Record = serde_json::from_slice(&text).unwrap_or_default();
        self.record = Some(Record::default());
        if (&before.boot, before.netns) != (&here.boot, here.netns) {
            return;
        }
        for (name, ifindex) in before.taps.iter().filter(|(name, _)| !wanted(name)) {
            if before.database != here.database {
                if link::get(name).is_ok_and(|l| l.ifindex == *ifindex) {
                    crate::warn!(
                        BRIDGE,
                        "interface {name}: was made for a port of another database (row {}); it \
                         stays, \"ip link del {name}\" removes it",
                        before.database.as_deref().unwrap_or("unknown"); "interface" => name);
                }
                continue;
            }
            match internal::remove(name, *ifindex) {
                Ok(true) => crate::info!(
                    BRIDGE,
                    "interface {name}: removed, its port has left the database while no switch ran"; "interface" => name),
                Ok(false) => {}
                Err(e) => {
                    crate::warn!(BRIDGE, "interface {name}: cannot be removed ({e})"; "interface" => name)
                }
            }
        }
    }

    /// The next [`Taps::begin`] reads the file again.
    pub(super) fn forget(&mut self) {
        self.record = None;
    }

    /// After devices were opened or closed: writes down which there are, and has them stay.
    pub(super) fn keep<'a>(
        &mut self,
        taps: impl Iterator<Item = (&'a str, u32, &'a TapHandle)> + Clone,
    ) {
        let Some(file) = &self.file else { return };
        let names = taps.clone().map(|(name, ifindex, _)| (name.to_owned(), ifindex)).collect();
        let record = Record { taps: names, ..self.here() };
        if self.record.as_ref() != Some(&record) {
            if let Err(e) = write(file, &record) {
                crate::warn!(
                    BRIDGE,
                    "{}: cannot be written ({e}); internal interfaces that leave the database \
                     while no switch runs will stay",
                    file.display()
                );
            }
            self.record = Some(record);
        }
        for (name, _, tap) in taps {
            if let Err(e) = tap.persist(true) {
                crate::warn!(BRIDGE, "interface {name}: will end with the switch ({e})"; "interface" => name);
            }
        }
    }
}

/// Replaces the file as a whole. A symbolic link in its place is replaced, not followed.
fn write(file: &Path, record: &Record) -> io::Result<()> {
    if record.taps.is_empty() {
        return match fs::remove_file(file) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        };
    }
    let new = file.with_extension(format!("{}.tmp", std::process::id()));
    let _ = fs::remove_file(&new);
    let mut to = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&new)?;
    let mut text = serde_json::to_vec(record)?;
    text.push(b'\n');
    let result = to.write_all(&text).and_then(|()| fs::rename(&new, file));
    if result.is_err() {
        let _ = fs::remove_file(&new);
    }
    result
}

/// Whether the switch makes this kind of device.
pub(super) fn own(kind: &DeviceKind) -> bool {
    match kind {
        DeviceKind::Internal | DeviceKind::Tap => true,
        DeviceKind::System
        | DeviceKind::Patch { .. }
        | DeviceKind::Dummy { .. }
        | DeviceKind::Unknown(_) => false,
    }
}

impl Attached {
    /// Lets go of the device, which another program may attach to then.
    pub(super) fn leave(&mut self) {
        if let Some(tap) = self.tap.take() {
            // One that is gone needs nothing.
            let _ = tap.withdraw_offloads();
        }
    }

    /// The device ends when it is closed. One that is gone needs nothing.
    pub(super) fn end_when_closed(&self) {
        if let Some(tap) = &self.tap {
            let _ = tap.persist(false);
        }
    }
}
