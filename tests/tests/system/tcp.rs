//! Real TCP through the switch, with the kernel's offloads on: segments larger than the MTU and
//! checksums left to "hardware" must come out right at the other end.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use testbed::Netns;
use tests::Rig;

const LIMIT: Duration = Duration::from_secs(20);

/// Byte `i` of what is sent: wrong order, loss and damage all show.
fn pattern(i: usize) -> u8 {
    (i.wrapping_mul(2_654_435_761) >> 24) as u8
}

/// Sends `size` octets from a client in one namespace to a server in another and checks each.
/// Gives the speed in Mbit/s.
fn transfer(client: &Netns, server: &Netns, ip: Ipv4Addr, size: usize) -> f64 {
    let listener = server.run(|| TcpListener::bind((ip, 0)).expect("an address of ours"));
    let to: SocketAddr = listener.local_addr().unwrap();
    let start = Instant::now();
    let mut out = client.run(|| TcpStream::connect_timeout(&to, LIMIT).expect("a connection"));
    let (mut inn, _) = listener.accept().unwrap();
    out.set_write_timeout(Some(LIMIT)).unwrap();
    inn.set_read_timeout(Some(LIMIT)).unwrap();
    std::thread::scope(|s| {
        s.spawn(move || {
            let data: Vec<u8> = (0..size).map(pattern).collect();
            for chunk in data.chunks(256 * 1024) {
                assert!(start.elapsed() < LIMIT, "the stream crawls");
                out.write_all(chunk).expect("the stream stalled");
            }
        });
        let mut buf = vec![0; 256 * 1024];
        let mut got = 0;
        loop {
            let n = inn.read(&mut buf).expect("the stream stalled");
            if n == 0 {
                break;
            }
            for (i, b) in buf[..n].iter().enumerate() {
                assert_eq!(*b, pattern(got + i), "octet {} is damaged", got + i);
            }
            got += n;
            assert!(start.elapsed() < LIMIT, "the stream crawls: {got} octets so far");
        }
        assert_eq!(got, size);
    });
    size as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e6
}

const VM_IP: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const TOR_IP: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
const BR_IP: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 3);

/// A rig whose active member's far end has an address.
fn rig(settings: &str) -> Rig {
    let rig = Rig::new(2);
    rig.bond(settings);
    let active = rig.active().unwrap_or(0);
    rig.vm.rtnl().add_address("eth0", VM_IP, 24).unwrap();
    rig.tor.rtnl().add_address(&format!("tor{active}"), TOR_IP, 24).unwrap();
    rig
}

#[harness::test]
fn between_a_machine_and_the_network() {
    let rig = rig("");
    let up = transfer(&rig.vm, &rig.tor, TOR_IP, 16 << 20);
    let down = transfer(&rig.tor, &rig.vm, VM_IP, 16 << 20);
    println!("{up:.0} Mbit/s up, {down:.0} Mbit/s down");
}

#[harness::test]
fn between_an_internal_port_and_the_network() {
    tests::tap("internal ports");
    let rig = rig("");
    rig.hv.rtnl().set_up("br0", true).unwrap();
    rig.hv.rtnl().add_address("br0", BR_IP, 24).unwrap();
    let up = transfer(&rig.hv, &rig.tor, TOR_IP, 8 << 20);
    let down = transfer(&rig.tor, &rig.hv, BR_IP, 8 << 20);
    println!("{up:.0} Mbit/s up, {down:.0} Mbit/s down");
}

#[harness::test]
fn between_a_machine_and_an_internal_port_with_a_vlan() {
    tests::tap("internal ports");
    let rig = Rig::new(1);
    rig.vsctl("add-port br0 vnet0 tag=10");
    rig.vsctl("add-port br0 int0 tag=10 -- set interface int0 type=internal");
    rig.vm.rtnl().add_address("eth0", VM_IP, 24).unwrap();
    rig.hv.rtnl().set_up("int0", true).unwrap();
    rig.hv.rtnl().add_address("int0", BR_IP, 24).unwrap();
    transfer(&rig.vm, &rig.hv, BR_IP, 8 << 20);
    transfer(&rig.hv, &rig.vm, VM_IP, 8 << 20);
}

#[harness::test]
fn an_internal_port_works_on_in_a_container() {
    tests::tap("internal ports");
    let rig = Rig::new(1);
    rig.vsctl("add-port br0 vnet0");
    rig.vsctl("add-port br0 int0 -- set interface int0 type=internal");
    rig.vm.rtnl().add_address("eth0", VM_IP, 24).unwrap();
    let container = Netns::new().unwrap();
    rig.hv.rtnl().move_to("int0", container.raw_fd()).unwrap();
    // Any change makes the switch look at all its devices anew.
    rig.vsctl("set bridge br0 other_config:mac-aging-time=100 -- set port int0 tag=0");
    container.rtnl().set_up("int0", true).unwrap();
    container.rtnl().add_address("int0", BR_IP, 24).unwrap();
    transfer(&rig.vm, &container, BR_IP, 8 << 20);
    transfer(&container, &rig.vm, VM_IP, 8 << 20);
    assert_eq!(rig.get("interface", "int0", "error"), "[]");
    rig.assert_clean_log();
    // It still ends with its row.
    rig.vsctl("del-port br0 int0");
    rig.wait("the end of int0", || container.rtnl().link("int0").is_err());
}
