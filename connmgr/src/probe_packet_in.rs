//! The packet-in that fail-open sends to a controller that is connected but has not admitted the
//! switch (Open vSwitch: `send_bogus_packet_in`). The controller's answer shows that it controls the
//! switch.

use ofproto::controller::QueuedPacketIn;
use openflow::action::PacketInReason;
use openflow::msg::{PacketIn, PacketInFormat};
use openflow::{Field, Match, OfPort};
use wire::EthAddr;
use wire::arp::learning_packet;

/// A RARP from a random address, as if it had entered at the bridge's local port and matched no
/// flow.
pub(crate) fn packet(bridge: &str) -> QueuedPacketIn {
    let random = posix::random().to_be_bytes();
    // Nicira's OUI, as in Open vSwitch; addresses with the upper bit of the fourth octet are random.
    let mac = EthAddr([0, 0x23, 0x20, random[0] | 0x80, random[1], random[2]]);
    let packet = learning_packet(mac);
    let mut metadata = Match::default();
    metadata.set(Field::InPort, u128::from(OfPort::LOCAL.0));
    QueuedPacketIn {
        bridge: bridge.into(),
        controller_id: 0,
        max_len: u16::MAX,
        packet: PacketIn {
            format: PacketInFormat::Standard,
            reason: PacketInReason::NO_MATCH,
            table_id: 0,
            cookie: None,
            metadata,
            total_len: packet.len() as u32,
            packet,
            buffer_id: None,
            userdata: Vec::new(),
            continuation: Vec::new(),
        },
    }
}
