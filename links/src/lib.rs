//! The links thread: every `Bond`, LACP of single interfaces, BFD, CFM and link detection.
//!
//! ```text
//!              Request (queue + waker)           rtnetlink, slow-protocol sockets, deadlines
//!   main ───────────────────────────┐                          │
//!    ▲                              ▼                          ▼
//!    │  Outbox (latest values)   ┌──────────────── thread ────────────────┐ ◀─ counts ── carrier
//!    └───────────────────────────┤ device: link state    port: the engine │
//!                                └──┬───────────────┬───────────────┬─────┘ ◀─ answers ─ device
//!               Datapath::table_publish   BondHandle::forwarding   Work queue  ─ queries ▶ queries
//!                                   ▼               ▼               ▼
//!                              packet path      translation     revalidator
//! ```
//!
//! Nothing here waits for another thread: main asks by a queue and reads an [`Outbox`] that keeps
//! only the latest value of each thing, so it cannot fill up while main is busy; the revalidator
//! gets work by a queue that merges equal items; frames for the datapath have a queue of their own
//! that drops and counts when it is full; the log drops lines rather than wait.
//!
//! Nor for the kernel's lock for network configuration (RTNL) or a driver: messages of rtnetlink
//! are received without it; the members' carriers are read without it on a thread of their own
//! (`prober`); all that needs it is asked on another (`queries`): the list of links, state by
//! index, speed, MII, opening and closing of sockets. `known` decides which of these sources is
//! the newest.
//!
//! A dead link moves traffic in one turn of the thread: the event, the engine, one store of the
//! table. Logging, the database and flows come after. If packets go out by the link, the packet
//! thread finds it dead before that and publishes the table that stands by (`standby`).

#![warn(missing_docs)]

mod cfm_frame;
mod comparison;
mod device;
mod followed;
mod handle;
mod host_addresses;
mod known;
mod log_limits;
mod member_index;
pub mod modules;
mod monitors;
mod port_driver;
mod priority;
mod prober;
mod queries;
mod session;
mod settings;
mod sockets;
mod standby;
mod thread;
mod updates;

pub use self::device::{LinkView, Source};
pub use self::handle::{BondError, Links, NoAnswer};
pub use self::port_driver::{BondView, LacpView};
pub use self::queries::{DeviceQueries, KernelQueries};
pub use self::settings::{LinkDevice, LinkMember, LinkPort, LinkPortKind, WatchedLink};
pub use self::thread::{Setup, spawn};
pub use self::updates::{LinkChange, MemberLink, Outbox, Updates};
