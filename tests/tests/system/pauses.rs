//! How long packets wait while the switch works on a command.

use std::time::Duration;

use testbed::process;
use tests::Rig;
use tests::rig::talk;
use wire::EthAddr;

const MS: Duration = Duration::from_millis(1);
const RATE: u32 = 1000;
/// Packets that are under way when a stretch of time is looked at.
const IN_FLIGHT: Duration = Duration::from_millis(150);

/// The longest that a packet may wait, on a machine that runs other tests too.
const LIMIT: Duration = Duration::from_millis(300);

/// Control commands, run in this order; the last ones delete what the others look at.
const COMMANDS: [&str; 26] = [
    "bond/list",
    "bond/show",
    "lacp/show",
    "coverage/show",
    "memory/show",
    "upcall/show",
    "dpif/show",
    "dpctl/show",
    "ofproto/list",
    "vlog/list",
    "dpif-netdev/pmd-perf-show",
    "dpif-netdev/pmd-stats-show",
    "fdb/show br0",
    "fdb/stats-show br0",
    "fdb/add br0 vnet0 0 02:00:00:00:77:77",
    "dpif/dump-flows br0",
    "dpctl/dump-flows",
    "dpctl/dump-flows -m",
    "ofproto/trace br0 in_port=vnet0,dl_src=02:00:00:00:55:01,dl_dst=02:00:00:00:fa:01",
    "bridge/dump-flows br0",
    "revalidator/wait",
    "mdb/show br0",
    "fdb/del br0 0 02:00:00:00:77:77",
    "dpctl/del-flows",
    "revalidator/purge",
    "fdb/flush br0",
];

/// Changes of the configuration.
const CHANGES: [&str; 5] = [
    "set bridge br0 other_config:mac-aging-time=400",
    "set port vnet0 external_ids:a=b",
    "set port bond0 bond_mode=balance-slb",
    "-- --id=@p get port vnet0 -- --id=@m create mirror name=m select_dst_port=@p select_vlan=7 \
     -- set bridge br0 mirrors=@m",
    "clear bridge br0 mirrors",
];

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Sends one frame from each of `n` source addresses, so that as many are learned and as many flows
/// are installed.
fn learn(rig: &Rig, n: usize) {
    let vm = rig.vm_socket();
    for i in 0..n {
        let [.., a, b, c] = (i as u32).to_be_bytes();
        let mut udp = talk(1, 50_000);
        udp.src_mac = EthAddr([0x06, 0, 0, a, b, c]);
        let _ = vm.send(&udp.frame(b"one of many"));
        if i % 64 == 63 {
            // The socket's buffer on the other side takes no more at a time.
            std::thread::sleep(MS);
        }
    }
}

fn entries(rig: &Rig) -> usize {
    let text = rig.appctl("fdb/stats-show br0");
    let line = text.lines().find(|l| l.contains("Current/maximum MAC entries in the table"));
    let figures = line.and_then(|l| l.split(": ").nth(1)).unwrap_or_else(|| panic!("{text}"));
    figures.split('/').next().unwrap().trim().parse().unwrap()
}

/// Each command works on the control side or on the packet thread in slices, so that packets do not
/// wait for the whole of it. `BRAID_ADDRESSES` (3,000) says how many addresses and flows there are;
/// with `--nocapture` each command's longest wait is printed.
#[harness::test]
fn packets_do_not_wait_for_commands() {
    tests::ours_only("commands in slices");
    tests::tool("ovs-ofctl");
    let addresses = number("BRAID_ADDRESSES", 3000);
    let rig = Rig::new(2);
    rig.vsctl(&format!("set bridge br0 other_config:mac-table-size={}", addresses + 1000));
    rig.bond("bond_mode=active-backup");
    let (_fabric, traffic) = rig.traffic(vec![talk(1, 40_000)], RATE, false);
    rig.await_calm(&traffic);
    let mut table: Vec<(String, Duration, Duration)> = Vec::new();
    let mut measure = |what: &str, work: &mut dyn FnMut()| {
        let from = traffic.now();
        work();
        let took = traffic.now() - from;
        std::thread::sleep(20 * MS);
        let to = traffic.now();
        std::thread::sleep(IN_FLIGHT);
        let ways = [&traffic.up, &traffic.down].map(|l| l.stretch(from, to).slowest);
        table.push((what.to_owned(), ways.into_iter().max().unwrap(), took));
    };
    measure("nothing", &mut || std::thread::sleep(1000 * MS));
    let learned = |enough: usize| {
        let mut rounds = 0;
        while entries(&rig) < enough {
            learn(&rig, addresses);
            rounds += 1;
            assert!(rounds < 20, "{} addresses are learned", entries(&rig));
        }
    };
    // Before there are addresses: the receiver here is too slow for a learning packet of each.
    measure("bond/set-active-member bond0 nic1", &mut || {
        rig.appctl("bond/set-active-member bond0 nic1");
    });
    learned(addresses * 9 / 10);
    for command in COMMANDS {
        measure(command, &mut || {
            // What a command says is tested elsewhere, and some say that there is nothing.
            let _ = rig.switch.appctl(command);
        });
    }
    learned(addresses * 9 / 10);
    for change in CHANGES {
        measure(change, &mut || {
            rig.vsctl(change);
        });
    }
    let ofctl = |words: &str| {
        let mut c = rig.switch.command("ovs-ofctl");
        c.args(words.split_whitespace());
        process::output(&mut c, Duration::from_secs(60)).unwrap_or_else(|e| panic!("{e}"));
    };
    let flows = rig.switch.path("flows");
    let text: String = (0..addresses)
        .map(|i| format!("priority=5,ip,nw_src=11.{}.{}.1,actions=normal\n", i / 256, i % 256))
        .collect();
    std::fs::write(&flows, text).unwrap();
    for words in [
        format!("add-flows br0 {}", flows.display()),
        "dump-flows br0".to_owned(),
        "dump-ports br0".to_owned(),
        "mod-flows br0 ip,actions=drop".to_owned(),
        "del-flows br0 ip".to_owned(),
    ] {
        measure(&words, &mut || ofctl(&words));
    }
    let longest = table.iter().map(|(_, wait, _)| *wait).max().unwrap();
    let text: String = table
        .iter()
        .map(|(what, wait, took)| format!("{wait:>12.1?} of {took:>12.1?}  {what}\n"))
        .collect();
    println!(
        "the longest way of a packet during each command, and how long the command took; {addresses} addresses:\n{text}"
    );
    assert!(longest < LIMIT, "{text}");
    rig.assert_no_panic();
}
