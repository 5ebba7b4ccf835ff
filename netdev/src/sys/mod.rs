//! Thin wrappers over the system calls that `rustix` does not have; errors are `errno`.
//!
//! | file | what |
//! |---|---|
//! | `socket` | sockets, and the options and addresses of packet sockets (packet(7)) |
//! | `filter` | filters of packet sockets |
//! | `ifreq` | requests about a device on a socket (netdevice(7), ethtool, MII) |
//! | `tun` | requests on a descriptor of `/dev/net/tun` |

mod filter;
mod ifreq;
mod socket;
mod tun;

pub(crate) use filter::{attach_filter, neighbours};
pub(crate) use ifreq::{Ethtool, Ifreq, Request, ifindex};
pub(crate) use socket::{
    SocketAddrPacket, bind_packet, bound_device, packet_membership, set_packet_option,
    set_receive_buffer, set_send_buffer, socket, take_packet_statistics,
};
pub(crate) use tun::TunFd;
