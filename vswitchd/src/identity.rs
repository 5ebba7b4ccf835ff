//! The host's identity in `Open_vSwitch.external_ids`: `system-id`, `rundir`, `hostname`.
//!
//! `ovs-ctl` writes these keys when it starts the daemon. Missing ones are added, so that a host
//! without `ovs-ctl` has them too; present ones are kept. As with
//! `ovs-ctl --system-id=random`, the system's identity is a random UUID that is kept in
//! `OVS_SYSCONFDIR/openvswitch/system-id.conf`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use crate::log::Level;
use crate::modules::BRIDGE;

/// The values of these keys.
#[derive(Debug, Default)]
pub struct Identity {
    /// `OVS_RUNDIR`.
    rundir: Option<PathBuf>,
    /// The directory of `system-id.conf`.
    directory: Option<PathBuf>,
    /// Determined at the first use.
    system_id: Option<String>,
    hostname: Hostname,
}

#[derive(Debug, Default)]
enum Hostname {
    /// Not wanted.
    #[default]
    None,
    /// A thread determines it: the full name may need a DNS look-up, which can take long.
    Asked(Receiver<String>),
    Known(String),
}

impl Identity {
    /// For a daemon with the run directory `rundir` and configuration files in
    /// `sysconf/openvswitch`. `wake` is called, on another thread, when the host's name is known.
    pub fn new(rundir: &Path, sysconf: &Path, wake: impl FnOnce() + Send + 'static) -> Identity {
        let (tell, asked) = sync_channel(1);
        let ask = move || {
            // Fails if the daemon has ended.
            let _ = tell.send(hostname());
            wake();
        };
        let thread = std::thread::Builder::new().name("hostname".to_owned()).spawn(ask);
        Identity {
            rundir: Some(rundir.to_owned()),
            directory: Some(sysconf.join("openvswitch")),
            system_id: None,
            hostname: match thread {
                Ok(_) => Hostname::Asked(asked),
                Err(_) => Hostname::Known(node_name()),
            },
        }
    }

    /// Receives the host's name from the thread. True once, when it has arrived.
    pub fn named(&mut self) -> bool {
        let Hostname::Asked(asked) = &self.hostname else { return false };
        match asked.try_recv() {
            Ok(name) => self.hostname = Hostname::Known(name),
            Err(TryRecvError::Empty) => return false,
            Err(TryRecvError::Disconnected) => self.hostname = Hostname::Known(node_name()),
        }
        true
    }

    /// The keys that `ids` lacks and that are known.
    pub fn missing(&mut self, ids: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut missing = BTreeMap::new();
        let lacks = |key: &str| ids.get(key).is_none_or(String::is_empty);
        if let (true, Some(rundir)) = (lacks("rundir"), &self.rundir) {
            missing.insert("rundir".to_owned(), rundir.display().to_string());
        }
        if let (true, Hostname::Known(name)) = (lacks("hostname"), &self.hostname) {
            missing.insert("hostname".to_owned(), name.clone());
        }
        if let (true, Some(directory)) = (lacks("system-id"), &self.directory) {
            if self.system_id.is_none() {
                self.system_id = system_id(directory);
            }
            let id = self.system_id.iter().map(|id| ("system-id".to_owned(), id.clone()));
            missing.extend(id);
        }
        missing
    }
}

/// The kept identity of the system, else a new one, which is kept if that is possible. Where it is
/// not, the database is where it is kept.
fn system_id(directory: &Path) -> Option<String> {
    let file = directory.join("system-id.conf");
    match fs::read_to_string(&file) {
        Ok(text) => {
            let id = text.lines().next().unwrap_or_default().trim();
            if !id.is_empty() {
                return Some(id.to_owned());
            }
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => {
            let text = posix::text(e);
            crate::info!(BRIDGE, "system-id: cannot read {} ({text})", file.display());
        }
    }
    let id = installed(directory).or_else(random)?;
    if let Err(e) = keep(&file, &id) {
        // The database keeps the identity as well. A host without the directory has not been set
        // up for the file; a start there prints nothing of it.
        let level = match e.kind() {
            io::ErrorKind::NotFound => Level::Dbg,
            _ => Level::Info,
        };
        crate::log_at!(
            &BRIDGE,
            level,
            "system-id: cannot write {} ({}); the database alone has {id}",
            file.display(),
            posix::text(e)
        );
    }
    Some(id)
}

/// What earlier versions of `ovs-ctl` kept: a shell's assignment.
fn installed(directory: &Path) -> Option<String> {
    let text = fs::read_to_string(directory.join("install_uuid.conf")).ok()?;
    let id = text.lines().find_map(|l| l.trim().strip_prefix("INSTALLATION_UUID="))?;
    Some(id.trim_matches(['"', '\'']).to_owned()).filter(|id| !id.is_empty())
}

/// A random UUID (RFC 9562, version 4) from the kernel.
fn random() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/uuid").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

fn keep(file: &Path, id: &str) -> io::Result<()> {
    let mut options = fs::File::options();
    // One that is there is not a system's identity yet: it is empty, or cannot be read.
    let mut file = options.create(true).truncate(true).write(true).open(file)?;
    writeln!(file, "{id}")
}

/// The host's full name (`hostname -f`), as `ovs-ctl` has it, else its node name.
fn hostname() -> String {
    let mut command = Command::new("hostname");
    command.arg("-f").stdin(Stdio::null()).stderr(Stdio::null());
    let full = command.output().ok().filter(|o| o.status.success());
    let full = full.and_then(|o| String::from_utf8(o.stdout).ok());
    full.map(|name| name.trim().to_owned()).filter(|n| !n.is_empty()).unwrap_or_else(node_name)
}

/// `uname -n`.
fn node_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that ends with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("braid-id-{}-{name}", std::process::id()));
            fs::create_dir_all(path.join("openvswitch")).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn identity(folder: &Folder) -> Identity {
        let (tell, told) = sync_channel(1);
        let mut identity = Identity::new(Path::new("/run/ovs"), &folder.0, move || {
            let _ = tell.send(());
        });
        told.recv().unwrap();
        assert!(identity.named());
        assert!(!identity.named(), "once");
        identity
    }

    #[test]
    fn missing_keys_are_added_and_system_id_is_kept() {
        let folder = Folder::new("kept");
        let none = BTreeMap::new();
        let first = identity(&folder).missing(&none);
        assert_eq!(first.keys().collect::<Vec<_>>(), ["hostname", "rundir", "system-id"]);
        assert_eq!(first["rundir"], "/run/ovs");
        assert!(!first["hostname"].is_empty());
        assert!(first["system-id"].parse::<ovsdb::Uuid>().is_ok(), "{first:?}");
        // Another run, another database.
        assert_eq!(identity(&folder).missing(&none), first);
        // What is there stays.
        let ids = BTreeMap::from([("system-id".to_owned(), "mine".to_owned())]);
        let keys = identity(&folder).missing(&ids);
        assert_eq!(keys.keys().collect::<Vec<_>>(), ["hostname", "rundir"]);
        assert!(identity(&folder).missing(&first).is_empty());
    }

    #[test]
    fn system_id_of_earlier_versions_is_adopted() {
        let folder = Folder::new("old");
        let path = folder.0.join("openvswitch");
        fs::write(path.join("install_uuid.conf"), "INSTALLATION_UUID='abc'\n").unwrap();
        assert_eq!(identity(&folder).missing(&BTreeMap::new())["system-id"], "abc");
        assert_eq!(fs::read_to_string(path.join("system-id.conf")).unwrap(), "abc\n");
    }

    /// Then the database is where it is kept.
    #[test]
    fn unwritable_directory_keeps_system_id_for_one_run() {
        let folder = Folder::new("none");
        fs::remove_dir(folder.0.join("openvswitch")).unwrap();
        let mut identity = identity(&folder);
        let first = identity.missing(&BTreeMap::new());
        assert!(first["system-id"].parse::<ovsdb::Uuid>().is_ok());
        assert_eq!(identity.missing(&BTreeMap::new()), first, "the same in one run");
    }
}
