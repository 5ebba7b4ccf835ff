//! What the benchmark measures on: a switch, a bond's links and the two ends of the traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wire::EthAddr;

use super::options::Options;
use crate::Mode;
use testbed::error::wait_for;
use testbed::fabric::Fabric;
use testbed::frame::{self, Udp};
use testbed::tap::Tap;
use testbed::traffic::{HOST_MAC, Traffic};
use testbed::{Cable, Daemon, Error, Members, Netns, PacketSocket, Switch};

const VM_MAC: EthAddr = EthAddr([0x02, 0, 0, 0, 0x55, 0x01]);
/// How many links the bond has.
pub(super) const LINKS: usize = 2;

/// A bond of two links between a "VM" and a network.
pub(super) struct Bench {
    pub(super) switch: Switch,
    cables: Vec<Arc<Cable>>,
    /// A device that is no member; there with taps only.
    pub(super) bystander: Option<Tap>,
    pub(super) vm: Arc<Netns>,
    pub(super) fabric: Arc<Fabric>,
    pub(super) talks: Vec<Udp>,
}

/// The `n`-th flow: addresses and ports differ; so does the MAC, where the mode looks at it.
fn talk(mode: Mode, n: u32) -> Udp {
    let [_, a, b, c] = n.to_be_bytes();
    let src_mac = match mode {
        Mode::ActiveBackup | Mode::BalanceTcp => VM_MAC,
        Mode::BalanceSlb => EthAddr([0x02, 0, 0, 0, 0x56, c % 32]),
    };
    Udp {
        src_mac,
        dst_mac: HOST_MAC,
        vlan: None,
        src_ip: [10, a, b, c].into(),
        dst_ip: [11, 0, 0, 1].into(),
        src_port: 1024 + (n % 60_000) as u16,
        dst_port: 5000,
    }
}

impl Bench {
    /// Starts the switch with this number of conversations.
    pub(super) fn new(o: &Options, daemon: Daemon, flows: u32) -> Result<Bench, Error> {
        let ns = || Netns::new().map(Arc::new);
        let (hv, tor, vm) = (ns()?, ns()?, ns()?);
        let cables = Cable::several(LINKS, o.members, &hv, &tor)?;
        let bystander = match o.members {
            Members::Veth => None,
            Members::Tap => Some(Tap::new(&hv, "other0")?),
        };
        vm.veth("eth0", &hv, "vnet0")?;
        let switch = Switch::start(hv, daemon, "braid-bench")?;
        let lacp = o.mode == Mode::BalanceTcp;
        let lacp_on = if lacp { "lacp=active other_config:lacp-time=fast" } else { "" };
        let lb_output = if o.lb_output { "other_config:lb-output-action=true" } else { "" };
        switch.vsctl(&format!(
            "add-br br0 -- set bridge br0 datapath_type=netdev \
             -- add-bond br0 bond0 nic0 nic1 -- set port bond0 bond_mode={} {lacp_on} {lb_output} \
             -- add-port br0 vnet0",
            o.mode
        ))?;
        if o.no_megaflows {
            switch.appctl("upcall/disable-megaflows")?;
        }
        // The time of a cut is read from the log, which limits the messages of a link that flaps.
        switch.appctl("vlog/disable-rate-limit")?;
        let fabric = Arc::new(Fabric::new(&cables, HOST_MAC, lacp)?);
        let talks = (0..flows).map(|n| talk(o.mode, n)).collect();
        Ok(Bench { switch, cables, bystander, vm, fabric, talks })
    }

    fn received(&self) -> Result<u64, Error> {
        self.cables.iter().map(|c| c.arrived()).sum()
    }

    /// Packets per second sent and received when the sender does what it can.
    pub(super) fn throughput(&self, time: Duration) -> Result<(f64, f64), Error> {
        let stop = AtomicBool::new(false);
        let sent = AtomicU64::new(0);
        let socket = PacketSocket::open(&self.vm, "eth0")?;
        let frames: Vec<Vec<u8>> = self.talks.iter().map(|t| t.frame(&[0; 18])).collect();
        std::thread::scope(|s| {
            // LACP needs an answer; what it delivers is counted by the kernel.
            s.spawn(|| self.fabric.run(&stop, |_, _| {}));
            s.spawn(|| {
                for f in frames.iter().cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    if socket.send(f).is_ok() {
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            let measured = (|| {
                let begin = self.received()?;
                let limit = Duration::from_secs(15);
                wait_for("packets", limit, Duration::from_millis(50), || {
                    self.received().is_ok_and(|n| n > begin + 1000)
                })?;
                // Flows are being installed: that is not what is measured.
                std::thread::sleep(Duration::from_secs(2));
                let (s0, r0, t0) = (sent.load(Ordering::Relaxed), self.received()?, Instant::now());
                std::thread::sleep(time);
                let (s1, r1, t1) = (sent.load(Ordering::Relaxed), self.received()?, t0.elapsed());
                let rate = |a: u64, b: u64| (b - a) as f64 / t1.as_secs_f64();
                Ok((rate(s0, s1), rate(r0, r1)))
            })();
            stop.store(true, Ordering::Relaxed);
            measured
        })
    }

    /// Packets lost, and the gap, when the link that carries most is cut.
    pub(super) fn failover(&self, o: &Options) -> Result<(u64, Duration), Error> {
        let socket = PacketSocket::open(&self.vm, "eth0")?;
        for t in self.talks.iter().take(32) {
            let _ = socket.send(&frame::gratuitous_arp(t.src_mac, t.src_ip, None));
        }
        let start = Instant::now();
        let traffic = Traffic::start(&self.fabric, socket, self.talks.clone(), o.rate, start);
        let tail = Duration::from_millis(300);
        // Every flow once at least, and calm.
        let round = Duration::from_secs_f64(self.talks.len() as f64 / f64::from(o.rate));
        std::thread::sleep(round + Duration::from_secs(1));
        wait_for("traffic without loss", Duration::from_secs(20), tail, || {
            let to = traffic.now() - tail;
            let s = traffic.up.stretch(to - tail, to);
            s.sent > 0 && s.lost == 0
        })?;
        let now = traffic.now();
        let n = traffic.up.spread(now - tail, now, LINKS);
        let busier = if n[1] > n[0] { 1 } else { 0 };
        if let Some(tap) = &self.bystander {
            // The kernel reports this change at once and the next one up to a second late.
            tap.set_carrier(false)?;
            std::thread::sleep(Duration::from_millis(100));
        }
        let at = traffic.now();
        self.fabric.set_link(busier, false)?;
        std::thread::sleep(Duration::from_secs(2));
        let s = traffic.up.stretch(at, traffic.now() - tail);
        drop(traffic);
        self.fabric.set_link(busier, true)?;
        if let Some(tap) = &self.bystander {
            tap.set_carrier(true)?;
        }
        Ok((s.lost, s.gap.unwrap_or_default()))
    }
}
