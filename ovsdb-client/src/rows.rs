//! The rows of the `Open_vSwitch` database that a switch reads and writes, as Rust types.
//!
//! One `rows!` declaration makes, for each table: the row's struct, its columns as typed constants
//! (`Interface::COL.link_state`), its place in [`Tables`] and its decoding. The fields are named
//! like the columns of `vswitch.ovsschema`, and `ovs-vswitchd.conf.db(5)` says what they mean.
//!
//! Shapes: a column that must have one value is the bare type, one that may be empty is an
//! `Option`, a set is a sorted `Vec`, a map is a `BTreeMap`. References to rows are their [`Uuid`]s.
//! Enumerations stay text, so that a value of a newer schema reaches whoever can name it in a
//! warning. A column that the server's schema lacks keeps its default: zero, false or empty.
//!
//! `config` columns are the operator's: a change in one raises [`crate::Db::config_seqno`].
//! `status` columns are written by the switch: they are followed, so that only what differs is
//! written, and their changes raise nothing.

use std::collections::{BTreeMap, BTreeSet};

use ovsdb::Uuid;

use crate::column::{Class, Column, ColumnInfo, ColumnValue, ValueError, plain_name};

/// A row of one table.
pub trait Row: Default + Clone + PartialEq + std::fmt::Debug + Send + 'static {
    /// The table it belongs to.
    const TABLE: Table;
    /// Its columns in declaration order.
    const COLUMNS: &'static [ColumnInfo];

    /// Replaces one column by a JSON value. `None` if the row has no such column.
    fn set_json(&mut self, column: &str, json: &str) -> Option<Result<(), ValueError>>;

    /// Applies the difference that `update2` and `update3` send. `None` if there is no such column.
    fn apply_json(&mut self, column: &str, json: &str) -> Option<Result<(), ValueError>>;

    /// The columns in which `self` and `new` differ, each with `new`'s value as JSON.
    fn changed(&self, new: &Self) -> Vec<(ColumnInfo, String)>;

    /// The rows of this table in a replica.
    fn rows(tables: &Tables) -> &BTreeMap<Uuid, Self>;

    /// The same, to change them.
    fn rows_mut(tables: &mut Tables) -> &mut BTreeMap<Uuid, Self>;
}

/// Something that is done for a table whose row type is only known when the program runs.
pub trait TableVisitor {
    /// What it gives back.
    type Output;
    /// Does it for the table of `R`.
    fn visit<R: Row>(self) -> Self::Output;
}

macro_rules! class {
    (config) => {
        Class::Config
    };
    (status) => {
        Class::Status
    };
}

macro_rules! rows {
    ($(
        $(#[$row_meta:meta])*
        $Row:ident $Columns:ident $table:literal $rows:ident {
            $( $(#[$meta:meta])* $class:ident $column:ident : $ty:ty, )*
        }
    )*) => {
        /// The tables that have typed rows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Table {
            $( #[doc = concat!("`", $table, "`.")] $Row, )*
        }

        impl Table {
            /// Every table, in declaration order.
            pub const ALL: &'static [Table] = &[ $( Table::$Row, )* ];

            /// The table's name in the schema.
            pub const fn name(self) -> &'static str {
                match self { $( Table::$Row => $table, )* }
            }

            /// The table of this name.
            pub fn from_name(name: &str) -> Option<Table> {
                match name { $( $table => Some(Table::$Row), )* _ => None }
            }

            /// The table's columns.
            pub const fn columns(self) -> &'static [ColumnInfo] {
                match self { $( Table::$Row => <$Row as Row>::COLUMNS, )* }
            }
        }

        /// The rows of all tables by UUID.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Tables {
            $( #[doc = concat!("Rows of `", $table, "`.")] pub $rows: BTreeMap<Uuid, $Row>, )*
        }

        impl Tables {
            /// The UUIDs of a table's rows, in order.
            pub fn uuids(&self, table: Table) -> BTreeSet<Uuid> {
                match table { $( Table::$Row => self.$rows.keys().copied().collect(), )* }
            }
        }


        impl Table {
            /// Calls the visitor with the row type that belongs to this table.
            pub fn visit<V: TableVisitor>(self, visitor: V) -> V::Output {
                match self { $( Table::$Row => visitor.visit::<$Row>(), )* }
            }
        }

        $(
            $(#[$row_meta])*
            #[derive(Debug, Clone, Default, PartialEq)]
            pub struct $Row { $( $(#[$meta])* pub $column: $ty, )* }

            #[doc = concat!("The columns of `", $table, "`, typed.")]
            #[derive(Debug, Clone, Copy)]
            pub struct $Columns {
                $( #[doc = concat!("`", stringify!($column), "`.")]
                   pub $column: Column<$Row, $ty>, )*
            }

            impl $Row {
                /// The columns, to write them in a transaction.
                pub const COL: $Columns = $Columns { $( $column: Column::new(
                    ColumnInfo {
                        name: plain_name(stringify!($column)),
                        class: class!($class),
                        shape: <$ty as ColumnValue>::SHAPE,
                    },
                    |row| &row.$column,
                ), )* };
            }

            impl Row for $Row {
                const TABLE: Table = Table::$Row;
                const COLUMNS: &'static [ColumnInfo] = &[ $( $Row::COL.$column.info, )* ];

                fn set_json(&mut self, column: &str, json: &str) -> Option<Result<(), ValueError>> {
                    $( if column == const { plain_name(stringify!($column)) } {
                        return Some(<$ty as ColumnValue>::decode(json).map(|value| self.$column = value));
                    } )*
                    None
                }

                fn apply_json(&mut self, column: &str, json: &str) -> Option<Result<(), ValueError>> {
                    $( if column == const { plain_name(stringify!($column)) } {
                        return Some(self.$column.apply(json));
                    } )*
                    None
                }

                fn changed(&self, new: &Self) -> Vec<(ColumnInfo, String)> {
                    let mut changed = Vec::new();
                    $( if self.$column != new.$column {
                        let mut json = String::new();
                        ColumnValue::encode(&new.$column, &mut json);
                        changed.push(($Row::COL.$column.info, json));
                    } )*
                    changed
                }

                fn rows(tables: &Tables) -> &BTreeMap<Uuid, Self> {
                    &tables.$rows
                }

                fn rows_mut(tables: &mut Tables) -> &mut BTreeMap<Uuid, Self> {
                    &mut tables.$rows
                }
            }
        )*
    };
}

/// Names and values of `other_config` and the like.
pub type StringMap = BTreeMap<String, String>;
/// Names and counters.
pub type CounterMap = BTreeMap<String, i64>;

rows! {
    /// The database's root: one row.
    OpenVSwitch OpenVSwitchColumns "Open_vSwitch" open_vswitch {
        /// Bridges to make.
        config bridges: Vec<Uuid>,
        /// OVSDB remotes that the database server serves.
        config manager_options: Vec<Uuid>,
        /// TLS keys, if any.
        config ssl: Option<Uuid>,
        /// Options of the whole switch.
        config other_config: StringMap,
        /// For other programs; `system-id` is among them.
        config external_ids: StringMap,
        /// Raised by `ovs-vsctl` with every change.
        config next_cfg: i64,
        /// The `next_cfg` that is in force.
        status cur_cfg: i64,
        /// Figures of the host.
        status statistics: StringMap,
        /// Version of the switch.
        status ovs_version: Option<String>,
        /// Version of the schema.
        status db_version: Option<String>,
        /// Operating system, as `ovs-ctl` writes it.
        status system_type: Option<String>,
        /// Its version.
        status system_version: Option<String>,
        /// Values that `Bridge.datapath_type` may have.
        status datapath_types: Vec<String>,
        /// Values that `Interface.type` may have.
        status iface_types: Vec<String>,
        /// True if DPDK was started.
        status dpdk_initialized: bool,
        /// Version of DPDK, if built with it.
        status dpdk_version: Option<String>,
    }

    /// A bridge.
    Bridge BridgeColumns "Bridge" bridges {
        /// Unique among bridges; never changes.
        config name: String,
        /// `system` (or empty) or `netdev`.
        config datapath_type: String,
        /// Version of the datapath.
        status datapath_version: String,
        /// 16 hexadecimal digits.
        status datapath_id: Option<String>,
        /// Spanning tree (802.1D).
        config stp_enable: bool,
        /// Rapid spanning tree (802.1w).
        config rstp_enable: bool,
        /// IGMP and MLD snooping.
        config mcast_snooping_enable: bool,
        /// Its ports.
        config ports: Vec<Uuid>,
        /// Its mirrors.
        config mirrors: Vec<Uuid>,
        /// NetFlow export.
        config netflow: Option<Uuid>,
        /// sFlow export.
        config sflow: Option<Uuid>,
        /// IPFIX export.
        config ipfix: Option<Uuid>,
        /// OpenFlow controllers.
        config controller: Vec<Uuid>,
        /// OpenFlow versions; empty means the default.
        config protocols: Vec<String>,
        /// `standalone` or `secure`; none means standalone.
        config fail_mode: Option<String>,
        /// Spanning tree status.
        status status: StringMap,
        /// Rapid spanning tree status.
        status rstp_status: StringMap,
        /// Options, such as `mac-aging-time`.
        config other_config: StringMap,
        /// For other programs.
        config external_ids: StringMap,
        /// VLANs (0 to 4095) on which MAC learning is off.
        config flood_vlans: Vec<i64>,
        /// OpenFlow table number (0 to 254) to its `Flow_Table` row.
        config flow_tables: BTreeMap<i64, Uuid>,
        /// 802.1Qcj.
        config auto_attach: Option<Uuid>,
    }

    /// A port: one interface, or a bond of several.
    Port PortColumns "Port" ports {
        /// Unique among ports; never changes.
        config name: String,
        /// One interface, or a bond's members.
        config interfaces: Vec<Uuid>,
        /// VLANs carried (0 to 4095); empty means all.
        config trunks: Vec<i64>,
        /// Customer VLANs of a `dot1q-tunnel` port (0 to 4095); empty means all.
        config cvlans: Vec<i64>,
        /// Access or native VLAN (0 to 4095).
        config tag: Option<i64>,
        /// `access`, `trunk`, `native-tagged`, `native-untagged` or `dot1q-tunnel`.
        config vlan_mode: Option<String>,
        /// Traffic shaping.
        config qos: Option<Uuid>,
        /// MAC address of an internal port or of the bond's learning packets.
        config mac: Option<String>,
        /// `active-backup`, `balance-slb` or `balance-tcp`.
        config bond_mode: Option<String>,
        /// `active`, `passive` or `off`.
        config lacp: Option<String>,
        /// Milliseconds that a link must be up before it is used.
        config bond_updelay: i64,
        /// Milliseconds that a link must be down before it is given up.
        config bond_downdelay: i64,
        /// MAC address of the active member, kept over a restart.
        status bond_active_slave: Option<String>,
        /// Makes an internal interface with the bond's name.
        config bond_fake_iface: bool,
        /// True if the port stands for a fake (VLAN) bridge.
        config fake_bridge: bool,
        /// Spanning tree status.
        status status: StringMap,
        /// Rapid spanning tree status.
        status rstp_status: StringMap,
        /// Rapid spanning tree counters.
        status rstp_statistics: CounterMap,
        /// Spanning tree counters.
        status statistics: CounterMap,
        /// Protected ports do not talk to each other.
        config protected: bool,
        /// Options, the bond's among them.
        config other_config: StringMap,
        /// For other programs.
        config external_ids: StringMap,
    }

    /// A device that belongs to a port.
    Interface InterfaceColumns "Interface" interfaces {
        /// Unique among interfaces; never changes.
        config name: String,
        /// `system` (or empty), `internal`, `patch`, `dummy`, or a tunnel's type.
        config r#type: String,
        /// Options of the type.
        config options: StringMap,
        /// Most that is accepted, kbit/s; 0 turns policing off.
        config ingress_policing_rate: i64,
        /// Burst, kbit; 0 means the default.
        config ingress_policing_burst: i64,
        /// Most that is accepted, thousands of packets a second; 0 turns it off.
        config ingress_policing_kpkts_rate: i64,
        /// Burst, thousands of packets.
        config ingress_policing_kpkts_burst: i64,
        /// The device's MAC address.
        status mac_in_use: Option<String>,
        /// MAC address to give to an internal device.
        config mac: Option<String>,
        /// The kernel's index (0 to 2^32-1).
        status ifindex: Option<i64>,
        /// For other programs; `attached-mac` is among them.
        config external_ids: StringMap,
        /// OpenFlow port number; -1 if the device could not be added.
        status ofport: Option<i64>,
        /// Number asked for (1 to 65,279).
        config ofport_request: Option<i64>,
        /// BFD options.
        config bfd: StringMap,
        /// BFD status.
        status bfd_status: StringMap,
        /// CFM maintenance point.
        config cfm_mpid: Option<i64>,
        /// CFM: remote points seen.
        status cfm_remote_mpids: Vec<i64>,
        /// CFM: changes of `cfm_fault`.
        status cfm_flap_count: Option<i64>,
        /// CFM: true if there is a fault.
        status cfm_fault: Option<bool>,
        /// CFM: reasons of the fault.
        status cfm_fault_status: Vec<String>,
        /// CFM: `up` or `down`.
        status cfm_remote_opstate: Option<String>,
        /// CFM: 0 to 100.
        status cfm_health: Option<i64>,
        /// LACP: true if the partner's information is current.
        status lacp_current: Option<bool>,
        /// LLDP options.
        config lldp: StringMap,
        /// Options, LACP's and the bond member's among them.
        config other_config: StringMap,
        /// Packets, bytes and errors.
        status statistics: CounterMap,
        /// Driver's name and version and the like.
        status status: StringMap,
        /// `up` or `down`.
        status admin_state: Option<String>,
        /// `up` or `down`.
        status link_state: Option<String>,
        /// Changes of `link_state`.
        status link_resets: Option<i64>,
        /// Bits per second.
        status link_speed: Option<i64>,
        /// `half` or `full`.
        status duplex: Option<String>,
        /// Bytes.
        status mtu: Option<i64>,
        /// MTU asked for (at least 1).
        config mtu_request: Option<i64>,
        /// Why the interface does not work.
        status error: Option<String>,
    }

    /// A copy of chosen traffic to a port or VLAN.
    Mirror MirrorColumns "Mirror" mirrors {
        /// Names it for people.
        config name: String,
        /// Every packet.
        config select_all: bool,
        /// Packets that arrive on these ports.
        config select_src_port: Vec<Uuid>,
        /// Packets that leave by these ports.
        config select_dst_port: Vec<Uuid>,
        /// Only of these VLANs (0 to 4095); empty means all.
        config select_vlan: Vec<i64>,
        /// Port to copy to.
        config output_port: Option<Uuid>,
        /// VLAN to copy to (1 to 4095).
        config output_vlan: Option<i64>,
        /// Bytes kept of each packet (14 to 65,535).
        config snaplen: Option<i64>,
        /// Packets and bytes copied.
        status statistics: CounterMap,
    }

    /// An OpenFlow controller of a bridge.
    Controller ControllerColumns "Controller" controllers {
        /// `primary` or `service`.
        config r#type: Option<String>,
        /// `tcp:…`, `ssl:…`, `unix:…` or a listening form.
        config target: String,
        /// Milliseconds between attempts at most (at least 1,000).
        config max_backoff: Option<i64>,
        /// Milliseconds of silence before a probe; 0 turns it off.
        config inactivity_probe: Option<i64>,
        /// `in-band` or `out-of-band`.
        config connection_mode: Option<String>,
        /// Options.
        config other_config: StringMap,
        /// True while connected.
        status is_connected: bool,
        /// `other`, `master` or `slave`.
        status role: Option<String>,
        /// `state`, `sec_since_connect` and the like.
        status status: StringMap,
    }

    /// A remote that the database server serves or connects to.
    Manager ManagerColumns "Manager" managers {
        /// `ptcp:…`, `pssl:…`, `tcp:…`, `ssl:…` and the like.
        config target: String,
        /// `in-band` or `out-of-band`.
        config connection_mode: Option<String>,
        /// Options.
        config other_config: StringMap,
    }

    /// TLS files.
    Ssl SslColumns "SSL" ssls {
        /// Path of the private key.
        config private_key: String,
        /// Path of the certificate.
        config certificate: String,
        /// Path of the authority's certificate.
        config ca_cert: String,
        /// Take the authority's certificate from the first peer.
        config bootstrap_ca_cert: bool,
    }
}
