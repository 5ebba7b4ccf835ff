//! A virtual machine with a Linux kernel that has what the host's may lack: bonding, VLAN devices,
//! emulated NICs with MII registers.
//!
//! QEMU runs it without hardware acceleration. Its NICs are taps of a namespace; their far ends are
//! file descriptors that this process shares with QEMU, so that it can take their carrier away.
//! The machine's root file system is an archive in memory with busybox, the wanted kernel modules
//! and a shell on the serial port.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Error, Netns, Scratch, Tap};

/// Names a folder with a kernel, its modules and busybox: see [`Image::find`].
pub const VARIABLE: &str = "BRAID_VM";

/// How long the machine may take to start.
const BOOT: Duration = Duration::from_secs(120);

/// Printed by the machine's shell when it is ready.
const READY: &str = "machine-is-ready";

/// Where kernel, modules and busybox are.
#[derive(Clone, Debug)]
pub struct Image {
    kernel: PathBuf,
    modules: PathBuf,
    busybox: PathBuf,
}

impl Image {
    /// Looks in the folder that [`VARIABLE`] names, else in `target/vm` of the workspace: Debian's
    /// packages `linux-image-*` and `busybox-static`, unpacked with `dpkg -x`. `cargo xtask vm` puts
    /// them there.
    ///
    /// # Errors
    ///
    /// What is missing, and how to get it.
    pub fn find() -> Result<Image, Error> {
        let missing = |what: &str| {
            Error::Daemon(format!("there is no {what} for a virtual machine: run `cargo xtask vm`"))
        };
        if super::debian::tool("qemu-system-x86_64").is_none() {
            return Err(Error::Daemon(
                "qemu-system-x86_64 is not installed: apt-get install qemu-system-x86".into(),
            ));
        }
        let folder = match env::var_os(VARIABLE) {
            Some(folder) => PathBuf::from(folder),
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/vm"),
        };
        let first = |folder: PathBuf, prefix: &str| {
            let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|e| e.path());
            entries.filter(|p| file_name(p).starts_with(prefix)).max()
        };
        Ok(Image {
            kernel: first(folder.join("boot"), "vmlinuz-").ok_or_else(|| missing("kernel"))?,
            modules: first(folder.join("lib/modules"), "").ok_or_else(|| missing("modules"))?,
            busybox: ["bin/busybox", "usr/bin/busybox"]
                .map(|name| folder.join(name))
                .into_iter()
                .find(|p| p.is_file())
                .ok_or_else(|| missing("busybox"))?,
        })
    }

    /// Files of the named modules and of those that they need, in the order of loading.
    fn modules(&self, names: &[&str]) -> Result<Vec<PathBuf>, Error> {
        let mut files = Vec::new();
        walk(&self.modules, &mut files);
        let mut order = Vec::new();
        let mut done = BTreeSet::new();
        for name in names {
            load(name, &files, &mut done, &mut order)?;
        }
        Ok(order)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Adds a module after those that it names in its section `.modinfo`.
fn load(
    name: &str,
    files: &[PathBuf],
    done: &mut BTreeSet<String>,
    order: &mut Vec<PathBuf>,
) -> Result<(), Error> {
    let plain = name.replace('-', "_");
    if !done.insert(plain.clone()) {
        return Ok(());
    }
    let file = files.iter().find(|p| {
        file_name(p).strip_suffix(".ko").is_some_and(|stem| stem.replace('-', "_") == plain)
    });
    // What is built into the kernel has no file.
    let Some(file) = file else { return Ok(()) };
    let bytes = fs::read(file).map_err(|e| Error::io(file.display().to_string(), e))?;
    let key = b"\0depends=";
    if let Some(at) = bytes.windows(key.len()).position(|w| w == key) {
        let rest = &bytes[at + key.len()..];
        let end = rest.iter().position(|b| *b == 0).unwrap_or(0);
        for needed in String::from_utf8_lossy(&rest[..end]).split(',').filter(|n| !n.is_empty()) {
            load(needed, files, done, order)?;
        }
    }
    order.push(file.clone());
    Ok(())
}

/// An archive in the format `newc`, cpio(5), which the kernel unpacks at start.
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn entry(&mut self, name: &str, mode: u32, contents: &[u8]) {
        // Inode, mode, owner, group, links, time, size, device twice, device of a node twice,
        // length of the name, checksum.
        let fields =
            [0, mode, 0, 0, 1, 0, contents.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        self.0.extend(b"070701");
        for field in fields {
            self.0.extend(format!("{field:08x}").bytes());
        }
        self.0.extend(name.bytes());
        self.0.push(0);
        self.pad();
        self.0.extend(contents);
        self.pad();
    }

    fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn folder(&mut self, name: &str) {
        self.entry(name, 0o040_755, &[]);
    }

    fn file(&mut self, name: &str, contents: &[u8]) {
        self.entry(name, 0o100_755, contents);
    }
}

/// The emulated NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nic {
    /// virtio-net at 10 Gbit/s, full duplex.
    Virtio,
    /// Intel 82540EM, which has MII registers.
    E1000,
}

/// A running machine with a shell.
pub struct Machine {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    number: u32,
    _folder: Scratch,
}

impl Machine {
    /// Starts a machine whose `eth0`, `eth1`, … are the far ends of these taps, with kernel modules
    /// loaded by name. Returns when its shell is ready.
    ///
    /// # Errors
    ///
    /// The machine does not start, or not within two minutes.
    pub fn start(
        image: &Image,
        ns: &Netns,
        taps: &[&Tap],
        nic: Nic,
        modules: &[&str],
    ) -> Result<Machine, Error> {
        let folder = Scratch::new("braid-vm")?;
        let initrd = folder.join("initrd");
        let driver = match nic {
            Nic::Virtio => ["virtio_pci", "virtio_net"].as_slice(),
            Nic::E1000 => ["e1000"].as_slice(),
        };
        let modules = image.modules(&[driver, modules].concat())?;
        let archive = archive(image, &modules)?;
        fs::write(&initrd, archive).map_err(|e| Error::io(initrd.display().to_string(), e))?;
        let mut c = ns.command("qemu-system-x86_64");
        c.args(["-nographic", "-no-reboot", "-nodefaults", "-accel", "tcg", "-m", "256"]);
        c.args(["-serial", "stdio", "-monitor", "none", "-kernel"]).arg(&image.kernel);
        c.arg("-initrd").arg(&initrd);
        c.args(["-append", "console=ttyS0 quiet panic=-1 net.ifnames=0"]);
        for (i, tap) in taps.iter().enumerate() {
            let fd = tap.as_raw_fd();
            c.arg("-netdev").arg(format!("tap,id=n{i},fd={fd}"));
            let device = match nic {
                Nic::Virtio => "virtio-net-pci,speed=10000,duplex=full",
                Nic::E1000 => "e1000",
            };
            c.arg("-device").arg(format!("{device},netdev=n{i},mac=52:54:00:00:00:{:02x}", i + 1));
            // SAFETY: fcntl is async-signal-safe; the tap outlives the call of `spawn`.
            unsafe {
                c.pre_exec(move || match libc::fcntl(fd, libc::F_SETFD, 0) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                });
            }
        }
        let mut machine = Machine::spawn(c, folder)?;
        machine.wait_for(READY, BOOT)?;
        Ok(machine)
    }

    fn spawn(mut c: Command, folder: Scratch) -> Result<Machine, Error> {
        c.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = c.spawn().map_err(|e| Error::io("cannot start QEMU", e))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = (input, output) else {
            return Err(Error::Daemon("QEMU has no pipes".into()));
        };
        let (sender, lines) = channel();
        thread::spawn(move || {
            let mut reader = BufReader::new(output);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        Ok(Machine { child, input, lines, number: 0, _folder: folder })
    }

    /// Lines up to the one that contains `mark`.
    fn wait_for(&mut self, mark: &str, limit: Duration) -> Result<Vec<String>, Error> {
        let end = Instant::now() + limit;
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let done = line.contains(mark);
                    seen.push(line);
                    if done {
                        return Ok(seen);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Error::Timeout {
                        what: format!("{mark} of the virtual machine"),
                        after: limit,
                        detail: seen.join("\n"),
                    });
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::Daemon(format!("QEMU has ended:\n{}", seen.join("\n"))));
                }
            }
        }
    }

    /// Runs a command line of the machine's shell and gives what it printed.
    ///
    /// # Errors
    ///
    /// It fails, or takes longer than 60 s.
    pub fn shell(&mut self, line: &str) -> Result<String, Error> {
        self.number += 1;
        let mark = format!("end-of-{}", self.number);
        // The mark is written in two parts, so that an echo of the line does not contain it.
        let whole = format!("{line}\necho end-of\"-\"{} $?\n", self.number);
        self.input
            .write_all(whole.as_bytes())
            .and_then(|()| self.input.flush())
            .map_err(|e| Error::io("cannot write to the virtual machine", e))?;
        let mut seen = self.wait_for(&mark, Duration::from_secs(60))?;
        let last = seen.pop().unwrap_or_default();
        let output = seen.join("\n");
        if last.ends_with(" 0") {
            return Ok(output);
        }
        Err(Error::Command { command: line.to_owned(), status: last, output })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn archive(image: &Image, modules: &[PathBuf]) -> Result<Vec<u8>, Error> {
    let read = |p: &Path| fs::read(p).map_err(|e| Error::io(p.display().to_string(), e));
    let mut a = Archive::default();
    for folder in ["bin", "proc", "sys", "dev", "modules"] {
        a.folder(folder);
    }
    a.file("bin/busybox", &read(&image.busybox)?);
    let mut init = String::from(
        "#!/bin/busybox sh\n/bin/busybox --install -s /bin\nexport PATH=/bin\nmount -t proc proc \
         /proc\nmount -t sysfs sys /sys\nmount -t devtmpfs dev /dev\n",
    );
    for (i, module) in modules.iter().enumerate() {
        let name = format!("modules/{i:02}-{}", file_name(module));
        a.file(&name, &read(module)?);
        init.push_str(&format!("insmod /{name}\n"));
    }
    init.push_str(&format!(
        "echo 0 > /proc/sys/kernel/printk\nip link set lo up\necho {READY}\nexec sh </dev/ttyS0 \
         2>&1\n"
    ));
    a.file("init", init.as_bytes());
    a.entry("TRAILER!!!", 0, &[]);
    Ok(a.0)
}
