//! A controller's connection: whatever comes over it, the switch goes on, and what it sends can be
//! read.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use ofproto::config::{BridgeConfig, OfprotoConfig};
use ofproto::controller::{Agent, ConnId, ConnKind, ConnSettings, SwitchOps, Out, Port, Settings};
use ofproto::{OfPort, Ofproto};
use openflow::codec::{Header, decode};
use openflow::msg::PortStats;
use openflow::{Protocol, Version};
use wire::{EthAddr, Time};

struct World(Arc<Ofproto>);

impl SwitchOps for World {
    fn ofproto(&self) -> &Ofproto {
        &self.0
    }

    fn port_counters(&self, port: OfPort) -> Option<PortStats> {
        Some(PortStats::unknown(port))
    }

    fn set_admin(&self, _port: OfPort, _up: bool) -> bool {
        true
    }

    fn queues(&self, port: OfPort) -> Vec<u32> {
        vec![port.0.into()]
    }
}

const ME: ConnId = ConnId(1);

fuzz_target!(|octets: &[u8]| {
    let Some((choice, mut rest)) = octets.split_first() else { return };
    let Some(version) = Version::from_wire(choice % 6 + 1) else { return };
    let mut now = Time::from_millis(1_000_000);
    let mac = EthAddr([2, 0, 0, 0, 0, 1]);
    let world = World(Ofproto::new());
    let bridges = vec![BridgeConfig::new("br0", mac)];
    world.0.configure(now, OfprotoConfig { vlan_limit: 1, bridges });
    let mut agent = Agent::new("br0", Settings::new(1, "0"));
    let ports = (1..4).map(|n| Port::new(OfPort(n), &format!("p{n}"), mac, now));
    agent.set_ports(now, ports.collect(), &world);
    agent.connect(now, ME, ConnSettings::new(ConnKind::Primary, "br0<->c"), &world);
    agent.receive(now, ME, &[version.wire(), 0, 0, 8, 0, 0, 0, 1], &world);
    // One message after the other: its length in 16 bits of half as much, then its octets.
    while let Some((len, after)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*len)).min(after.len());
        let (body, after) = after.split_at(len);
        rest = after;
        let mut frame = body.to_vec();
        if frame.len() < 8 {
            continue;
        }
        // Most are of the version agreed on, and as long as they say.
        if frame[0] < 0xf0 {
            frame[0] = version.wire();
        }
        let len = frame.len() as u16;
        frame[2..4].copy_from_slice(&len.to_be_bytes());
        agent.receive(now, ME, &frame, &world);
        now = now + Duration::from_millis(300);
        agent.run(now, &world);
        let sent: Vec<Out> = agent.outbox().collect();
        for out in sent {
            if let Out::Send { class, frame, .. } = out {
                let header = Header::peek(&frame);
                assert_eq!(header.map(|h| usize::from(h.len)), Some(frame.len()));
                let read = decode(&frame, Protocol::new(version));
                assert!(read.is_ok(), "{read:?} {frame:02x?}");
                agent.sent(ME, class, frame.len());
            }
        }
        if agent.status(ME).is_none() {
            return;
        }
    }
});
