//! The rack: namespaces, links, the switch and the two ends of the stream.
//!
//! ```text
//!   namespace vm        namespace hv                       namespace tor
//!   eth0 ────────────── vnet0 ─ br0 ─ bond0 ┬ nic0 ─────── tor0 ┬ Fabric ─ host
//!   (or the internal port vm0 of br0)       └ nic1 ─────── tor1 ┘
//! ```
//!
//! With `--members tap` nic0 and nic1 are taps whose far ends are the fabric's ports themselves,
//! and `other0`, a tap that is no member, is beside them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::options::{Mode, Options, Vm};
use super::timeline::{Timeline, Who};
use testbed::carrier::Watch;
use testbed::fabric::Fabric;
use testbed::frame::Udp;
use testbed::tap::Tap;
use testbed::traffic::{HOST_MAC, Traffic, talk};
use testbed::{Cable, Daemon, Error, Members, Netns, PacketSocket, Switch};

/// How long before the cut the bystander's carrier changes.
const BYSTANDER_FIRST: Duration = Duration::from_millis(100);

/// How many links the bond has.
pub(super) const LINKS: usize = 2;

pub(super) struct Rig {
    pub(super) traffic: Traffic,
    pub(super) carrier: Watch,
    pub(super) fabric: Arc<Fabric>,
    pub(super) switch: Switch,
    /// A device that is no member, of the members' kind.
    bystander: Option<Tap>,
    _vm: Arc<Netns>,
}

/// Who talks to whom: enough conversations for the mode to have something to share out.
fn conversations(mode: Mode) -> Vec<Udp> {
    match mode {
        Mode::ActiveBackup => vec![talk(1, 40_000)],
        // The bucket is the hash of the source address.
        Mode::BalanceSlb => (1..=16).map(|m| talk(m, 40_000)).collect(),
        Mode::BalanceTcp => (0..64).map(|p| talk(1, 40_000 + p)).collect(),
    }
}

impl Rig {
    /// Builds everything and starts the stream.
    pub(super) fn build(o: &Options, daemon: Daemon, line: &mut Timeline) -> Result<Rig, Error> {
        let hv = Arc::new(Netns::new()?);
        let tor = Arc::new(Netns::new()?);
        let vm = Arc::new(Netns::new()?);
        let cables = Cable::several(LINKS, o.members, &hv, &tor)?;
        let bystander = match o.members {
            Members::Veth => None,
            Members::Tap => Some(Tap::new(&hv, "other0")?),
        };
        let vm_port = match o.vm {
            Vm::Veth => {
                vm.veth("eth0", &hv, "vnet0")?;
                "vnet0"
            }
            Vm::Internal => "vm0",
        };
        let lacp = o.mode == Mode::BalanceTcp;
        let fabric = Arc::new(Fabric::new(&cables, HOST_MAC, lacp)?);

        check_tun(o.vm)?;
        let started = Instant::now();
        let switch = Switch::start_on(hv, daemon, o.ovsdb_server, "braid-lab", &[])?;
        let version = switch.appctl("version")?;
        line.say(
            Who::Lab,
            format!(
                "the daemon runs ({}) with {}, {:.0} ms after its start",
                version.trim().lines().collect::<Vec<_>>().join(", "),
                switch.ovsdb(),
                started.elapsed().as_secs_f64() * 1e3
            ),
        );
        switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev")?;
        let mut add =
            format!("add-bond br0 bond0 nic0 nic1 -- set port bond0 bond_mode={}", o.mode);
        if let Some(primary) = o.primary() {
            add += &format!(
                " other_config:bond-primary={primary} other_config:bond-failback-delay={}",
                o.failback_delay().as_millis()
            );
        }
        match o.mode {
            Mode::ActiveBackup => {}
            Mode::BalanceSlb => add += " other_config:bond-rebalance-interval=1000",
            Mode::BalanceTcp => {
                add += " lacp=active other_config:lacp-time=fast \
                       other_config:bond-rebalance-interval=1000"
            }
        }
        add += &format!(" -- add-port br0 {vm_port}");
        if o.vm == Vm::Internal {
            add += &format!(" -- set interface {vm_port} type=internal");
        }
        let configured = Instant::now();
        switch.vsctl(&add)?;
        line.say(
            Who::Lab,
            format!(
                "ovs-vsctl {add}: in force after {:.0} ms",
                configured.elapsed().as_secs_f64() * 1e3
            ),
        );

        let vm_socket = match o.vm {
            Vm::Veth => PacketSocket::open(&vm, "eth0")?,
            Vm::Internal => {
                switch.namespace().rtnl().set_up(vm_port, true)?;
                PacketSocket::open(switch.namespace(), vm_port)?
            }
        };
        let talks = conversations(o.mode);
        let traffic = Traffic::start(&fabric, vm_socket, talks, o.rate, line.start());
        let carrier = Watch::new(switch.namespace(), line.start())?;
        Ok(Rig { traffic, carrier, fabric, switch, bystander, _vm: vm })
    }

    /// Takes the bystander's carrier away and returns 100 ms later. The kernel reports this change
    /// at once and the next one up to a second late.
    pub(super) fn change_bystander(&self) -> Result<(), Error> {
        let Some(tap) = &self.bystander else { return Ok(()) };
        tap.set_carrier(false)?;
        super::signal::pause(BYSTANDER_FIRST)
    }

    /// Gives the bystander its carrier back.
    pub(super) fn restore_bystander(&self) -> Result<(), Error> {
        self.bystander.as_ref().map_or(Ok(()), |tap| tap.set_carrier(true))
    }
}

/// The bridge's own port, and an internal port, are tap devices. Without them the rest works.
fn check_tun(vm: Vm) -> Result<(), Error> {
    let path = "/dev/net/tun";
    let Err(e) = std::fs::File::options().read(true).write(true).open(path) else {
        return Ok(());
    };
    let e = Error::io(
        format!("cannot open {path}, which internal ports need (`chmod 666 {path}` allows it)"),
        e,
    );
    match vm {
        Vm::Internal => Err(e),
        Vm::Veth => {
            eprintln!("braid-lab: {e}; the bridge will do without its own port br0");
            Ok(())
        }
    }
}
