//! The tables of `Open_vSwitch`, declared once: schema and typed rows come from here.

/// Gives the declaration of every table of `Open_vSwitch` to another macro.
///
/// [`crate::vswitch::DATABASE`] makes the schema of it, `ovsdb-client` the typed rows. A table is
///
/// ```text
/// /// What a row is.
/// Row Columns "Table" rows: RULES { COLUMN; … }
/// ```
///
/// where `Row` is the row's type, `Columns` that of its columns, `rows` the field of a replica that
/// holds the rows, and the rules are methods of [`crate::declare::Tab`]. A column is
///
/// ```text
/// /// What it says.
/// CLASS name: TYPE where RULES;
/// ```
///
/// where the class is `config` (the operator writes it) or `status` (the switch does), the type is
/// the Rust type of its values ([`crate::declare::Typed`]), and the rules are methods of
/// [`crate::declare::Col`]. `ovs-vswitchd.conf.db(5)` says what tables and columns mean.
#[macro_export]
macro_rules! open_vswitch_tables {
    ($expand:ident) => {
        $expand! {
            /// The database's root: one row.
            OpenVSwitch OpenVSwitchColumns "Open_vSwitch" open_vswitch: root, max_rows(1) {
                /// Bridges to make.
                config bridges: Vec<Uuid> where strong("Bridge");
                /// OVSDB remotes that the database server serves.
                config manager_options: Vec<Uuid> where strong("Manager");
                /// TLS keys, if any.
                config ssl: Option<Uuid> where strong("SSL");
                /// Options of the whole switch.
                config other_config: StringMap;
                /// For other programs; `system-id` is among them.
                config external_ids: StringMap;
                /// Raised by `ovs-vsctl` with every change.
                config next_cfg: i64;
                /// The `next_cfg` that is in force.
                status cur_cfg: i64;
                /// Figures of the host.
                status statistics: StringMap where ephemeral;
                /// Version of the switch.
                status ovs_version: Option<String>;
                /// Version of the schema.
                status db_version: Option<String>;
                /// Operating system, as `ovs-ctl` writes it.
                status system_type: Option<String>;
                /// Its version.
                status system_version: Option<String>;
                /// Values that `Bridge.datapath_type` may have.
                status datapath_types: Vec<String>;
                /// Values that `Interface.type` may have.
                status iface_types: Vec<String>;
                /// True if DPDK was started.
                status dpdk_initialized: bool;
                /// Version of DPDK, if built with it.
                status dpdk_version: Option<String>;
                /// Name of a datapath (`system`, `netdev`) to its row.
                config datapaths: BTreeMap<String, Uuid> where value_strong("Datapath");
            }

            /// A bridge.
            Bridge BridgeColumns "Bridge" bridges: index(&["name"]) {
                /// Unique among bridges; never changes.
                config name: String where fixed;
                /// `system` (or empty) or `netdev`.
                config datapath_type: String;
                /// Version of the datapath.
                status datapath_version: String;
                /// 16 hexadecimal digits.
                status datapath_id: Option<String> where ephemeral;
                /// Spanning tree (802.1D).
                config stp_enable: bool;
                /// Rapid spanning tree (802.1w).
                config rstp_enable: bool;
                /// IGMP and MLD snooping.
                config mcast_snooping_enable: bool;
                /// Its ports.
                config ports: Vec<Uuid> where strong("Port");
                /// Its mirrors.
                config mirrors: Vec<Uuid> where strong("Mirror");
                /// NetFlow export.
                config netflow: Option<Uuid> where strong("NetFlow");
                /// sFlow export.
                config sflow: Option<Uuid> where strong("sFlow");
                /// IPFIX export.
                config ipfix: Option<Uuid> where strong("IPFIX");
                /// OpenFlow controllers.
                config controller: Vec<Uuid> where strong("Controller");
                /// OpenFlow versions; empty means the default.
                config protocols: Vec<String>
                    where one_of(&[
                        "OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14",
                        "OpenFlow15",
                    ]);
                /// `standalone` or `secure`; none means standalone.
                config fail_mode: Option<String> where one_of(&["standalone", "secure"]);
                /// Spanning tree status.
                status status: StringMap where ephemeral;
                /// Rapid spanning tree status.
                status rstp_status: StringMap where ephemeral;
                /// Options, such as `mac-aging-time`.
                config other_config: StringMap;
                /// For other programs.
                config external_ids: StringMap;
                /// VLANs (0 to 4095) on which MAC learning is off.
                config flood_vlans: Vec<i64> where range(0, 4095), up_to(4096);
                /// OpenFlow table number (0 to 254) to its `Flow_Table` row.
                config flow_tables: BTreeMap<i64, Uuid> where range(0, 254), value_strong("Flow_Table");
                /// 802.1Qcj.
                config auto_attach: Option<Uuid> where strong("AutoAttach");
            }

            /// A port: one interface, or a bond of several.
            Port PortColumns "Port" ports: index(&["name"]) {
                /// Unique among ports; never changes.
                config name: String where fixed;
                /// One interface, or a bond's members.
                config interfaces: Vec<Uuid> where strong("Interface"), some;
                /// VLANs carried (0 to 4095); empty means all.
                config trunks: Vec<i64> where range(0, 4095), up_to(4096);
                /// Customer VLANs of a `dot1q-tunnel` port (0 to 4095); empty means all.
                config cvlans: Vec<i64> where range(0, 4095), up_to(4096);
                /// Access or native VLAN (0 to 4095).
                config tag: Option<i64> where range(0, 4095);
                /// `access`, `trunk`, `native-tagged`, `native-untagged` or `dot1q-tunnel`.
                config vlan_mode: Option<String>
                    where one_of(&[
                        "trunk", "access", "native-tagged", "native-untagged", "dot1q-tunnel",
                    ]);
                /// Traffic shaping.
                config qos: Option<Uuid> where strong("QoS");
                /// MAC address of an internal port or of the bond's learning packets.
                config mac: Option<String>;
                /// `active-backup`, `balance-slb` or `balance-tcp`.
                config bond_mode: Option<String>
                    where one_of(&["balance-tcp", "balance-slb", "active-backup"]);
                /// `active`, `passive` or `off`.
                config lacp: Option<String> where one_of(&["active", "passive", "off"]);
                /// Milliseconds that a link must be up before it is used.
                config bond_updelay: i64;
                /// Milliseconds that a link must be down before it is given up.
                config bond_downdelay: i64;
                /// MAC address of the active member, kept over a restart.
                status bond_active_slave: Option<String>;
                /// Makes an internal interface with the bond's name.
                config bond_fake_iface: bool;
                /// True if the port stands for a fake (VLAN) bridge.
                config fake_bridge: bool;
                /// Spanning tree status.
                status status: StringMap where ephemeral;
                /// Rapid spanning tree status.
                status rstp_status: StringMap where ephemeral;
                /// Rapid spanning tree counters.
                status rstp_statistics: CounterMap where ephemeral;
                /// Spanning tree counters.
                status statistics: CounterMap where ephemeral;
                /// Protected ports do not talk to each other.
                config protected: bool;
                /// Options, the bond's among them.
                config other_config: StringMap;
                /// For other programs.
                config external_ids: StringMap;
            }

            /// A device that belongs to a port.
            Interface InterfaceColumns "Interface" interfaces: index(&["name"]) {
                /// Unique among interfaces; never changes.
                config name: String where fixed;
                /// `system` (or empty), `internal`, `patch`, `dummy`, or a tunnel's type.
                config r#type: String;
                /// Options of the type.
                config options: StringMap;
                /// Most that is accepted, kbit/s; 0 turns policing off.
                config ingress_policing_rate: i64 where range(0, i64::MAX);
                /// Burst, kbit; 0 means the default.
                config ingress_policing_burst: i64 where range(0, i64::MAX);
                /// Most that is accepted, thousands of packets a second; 0 turns it off.
                config ingress_policing_kpkts_rate: i64 where range(0, i64::MAX);
                /// Burst, thousands of packets.
                config ingress_policing_kpkts_burst: i64 where range(0, i64::MAX);
                /// The device's MAC address.
                status mac_in_use: Option<String> where ephemeral;
                /// MAC address to give to an internal device.
                config mac: Option<String>;
                /// The kernel's index (0 to 2^32-1).
                status ifindex: Option<i64> where range(0, 4_294_967_295), ephemeral;
                /// For other programs; `attached-mac` is among them.
                config external_ids: StringMap;
                /// OpenFlow port number; -1 if the device could not be added.
                status ofport: Option<i64>;
                /// Number asked for (1 to 65,279).
                config ofport_request: Option<i64> where range(1, 65_279);
                /// BFD options.
                config bfd: StringMap;
                /// BFD status.
                status bfd_status: StringMap where ephemeral;
                /// CFM maintenance point.
                config cfm_mpid: Option<i64>;
                /// CFM: remote points seen.
                status cfm_remote_mpids: Vec<i64> where ephemeral;
                /// CFM: changes of `cfm_fault`.
                status cfm_flap_count: Option<i64>;
                /// CFM: true if there is a fault.
                status cfm_fault: Option<bool> where ephemeral;
                /// CFM: reasons of the fault.
                status cfm_fault_status: Vec<String> where ephemeral;
                /// CFM: `up` or `down`.
                status cfm_remote_opstate: Option<String> where one_of(&["up", "down"]), ephemeral;
                /// CFM: 0 to 100.
                status cfm_health: Option<i64> where range(0, 100), ephemeral;
                /// LACP: true if the partner's information is current.
                status lacp_current: Option<bool> where ephemeral;
                /// LLDP options.
                config lldp: StringMap;
                /// Options, LACP's and the bond member's among them.
                config other_config: StringMap;
                /// Packets, bytes and errors.
                status statistics: CounterMap where ephemeral;
                /// Driver's name and version and the like.
                status status: StringMap where ephemeral;
                /// `up` or `down`.
                status admin_state: Option<String> where one_of(&["up", "down"]), ephemeral;
                /// `up` or `down`.
                status link_state: Option<String> where one_of(&["up", "down"]), ephemeral;
                /// Changes of `link_state`.
                status link_resets: Option<i64> where ephemeral;
                /// Bits per second.
                status link_speed: Option<i64> where ephemeral;
                /// `half` or `full`.
                status duplex: Option<String> where one_of(&["half", "full"]), ephemeral;
                /// Bytes.
                status mtu: Option<i64> where ephemeral;
                /// MTU asked for (at least 1).
                config mtu_request: Option<i64> where range(1, i64::MAX);
                /// Why the interface does not work.
                status error: Option<String>;
            }

            /// A copy of chosen traffic to a port or VLAN.
            Mirror MirrorColumns "Mirror" mirrors {
                /// Names it for people.
                config name: String;
                /// Every packet.
                config select_all: bool;
                /// Packets that arrive on these ports.
                config select_src_port: Vec<Uuid> where weak("Port");
                /// Packets that leave by these ports.
                config select_dst_port: Vec<Uuid> where weak("Port");
                /// Only of these VLANs (0 to 4095); empty means all.
                config select_vlan: Vec<i64> where range(0, 4095), up_to(4096);
                /// Port to copy to.
                config output_port: Option<Uuid> where weak("Port");
                /// VLAN to copy to (1 to 4095).
                config output_vlan: Option<i64> where range(1, 4095);
                /// Bytes kept of each packet (14 to 65,535).
                config snaplen: Option<i64> where range(14, 65_535);
                /// Only packets that fit this OpenFlow match; none means all. Open vSwitch has it
                /// from 3.4 on.
                config filter: Option<String> where later;
                /// Packets and bytes copied.
                status statistics: CounterMap where ephemeral;
                /// For other programs.
                config external_ids: StringMap;
            }

            /// An OpenFlow controller of a bridge.
            Controller ControllerColumns "Controller" controllers {
                /// `primary` or `service`.
                config r#type: Option<String> where one_of(&["primary", "service"]);
                /// `tcp:…`, `ssl:…`, `unix:…` or a listening form.
                config target: String;
                /// Milliseconds between attempts at most (at least 1,000).
                config max_backoff: Option<i64> where range(1000, i64::MAX);
                /// Milliseconds of silence before a probe; 0 turns it off.
                config inactivity_probe: Option<i64>;
                /// `in-band` or `out-of-band`.
                config connection_mode: Option<String> where one_of(&["in-band", "out-of-band"]);
                /// Options.
                config other_config: StringMap;
                /// True while connected.
                status is_connected: bool where ephemeral;
                /// `other`, `master` or `slave`.
                status role: Option<String> where one_of(&["other", "master", "slave"]), ephemeral;
                /// `state`, `sec_since_connect` and the like.
                status status: StringMap where ephemeral;
                /// Packets of a burst to the controller (at least 25).
                config controller_burst_limit: Option<i64> where range(25, i64::MAX);
                /// Packets that wait for a slow controller (1 to 512).
                config controller_queue_size: Option<i64> where range(1, 512);
                /// Packets a second to the controller (at least 100).
                config controller_rate_limit: Option<i64> where range(100, i64::MAX);
                /// False: no asynchronous messages are sent.
                config enable_async_messages: Option<bool>;
                /// For other programs.
                config external_ids: StringMap;
                /// In-band: IPv4 gateway to the controller.
                config local_gateway: Option<String>;
                /// In-band: address of the bridge's own port.
                config local_ip: Option<String>;
                /// In-band: its netmask.
                config local_netmask: Option<String>;
            }

            /// A remote that the database server serves or connects to.
            Manager ManagerColumns "Manager" managers: index(&["target"]) {
                /// `ptcp:…`, `pssl:…`, `tcp:…`, `ssl:…` and the like.
                config target: String;
                /// `in-band` or `out-of-band`.
                config connection_mode: Option<String> where one_of(&["in-band", "out-of-band"]);
                /// Options.
                config other_config: StringMap;
                /// For other programs.
                config external_ids: StringMap;
                /// Milliseconds of silence before a probe; 0 turns it off.
                config inactivity_probe: Option<i64>;
                /// Milliseconds between attempts at most (at least 1,000).
                config max_backoff: Option<i64> where range(1000, i64::MAX);
                /// True while a client is there.
                status is_connected: bool where ephemeral;
                /// `state`, `sec_since_connect` and the like; written by the database server.
                status status: StringMap where ephemeral;
            }

            /// TLS files.
            Ssl SslColumns "SSL" ssls: max_rows(1) {
                /// Path of the private key.
                config private_key: String;
                /// Path of the certificate.
                config certificate: String;
                /// Path of the authority's certificate.
                config ca_cert: String;
                /// Take the authority's certificate from the first peer.
                config bootstrap_ca_cert: bool;
                /// For other programs.
                config external_ids: StringMap;
            }

            /// Traffic shaping of a port.
            Qos QosColumns "QoS" qos: root {
                /// For other programs.
                config external_ids: StringMap;
                /// Options of the type.
                config other_config: StringMap;
                /// Number to its `Queue` row.
                config queues: BTreeMap<i64, Uuid> where range(0, 4_294_967_295), value_strong("Queue");
                /// `linux-htb` and the like.
                config r#type: String;
            }

            /// One queue of a traffic shaper.
            Queue QueueColumns "Queue" queues: root {
                /// Mark of its packets (0 to 63).
                config dscp: Option<i64> where range(0, 63);
                /// For other programs.
                config external_ids: StringMap;
                /// Options of the shaper's type.
                config other_config: StringMap;
            }

            /// Settings of an OpenFlow table.
            FlowTable FlowTableColumns "Flow_Table" flow_tables {
                /// For other programs.
                config external_ids: StringMap;
                /// Most flows.
                config flow_limit: Option<i64> where range(0, i64::MAX);
                /// Fields by which flows are grouped for eviction.
                config groups: Vec<String>;
                /// Shown to controllers.
                config name: Option<String>;
                /// What a flow too many does: `refuse` or `evict`.
                config overflow_policy: Option<String> where one_of(&["refuse", "evict"]);
                /// Fields with address prefixes that lookups follow; at most 3.
                config prefixes: Vec<String> where up_to(3);
            }

            /// 802.1Qcj: how a bridge introduces itself to a fabric.
            AutoAttach AutoAttachColumns "AutoAttach" auto_attaches {
                /// Service instance (I-SID, 0 to 16,777,215) to VLAN (0 to 4095).
                config mappings: BTreeMap<i64, i64> where range(0, 16_777_215), value_range(0, 4095);
                /// Shown to the fabric.
                config system_description: String;
                /// Shown to the fabric.
                config system_name: String;
            }

            /// NetFlow version 5 export.
            NetFlow NetFlowColumns "NetFlow" netflows {
                /// Seconds between records of a lasting flow; 0 means the default, -1 none.
                config active_timeout: i64 where range(-1, i64::MAX);
                /// Puts the engine into the numbers of interfaces.
                config add_id_to_interface: bool;
                /// 0 to 255.
                config engine_id: Option<i64> where range(0, 255);
                /// 0 to 255.
                config engine_type: Option<i64> where range(0, 255);
                /// For other programs.
                config external_ids: StringMap;
                /// Collectors, `IP:PORT`; at least one.
                config targets: Vec<String> where some;
            }

            /// sFlow version 5 export.
            SFlow SFlowColumns "sFlow" sflows {
                /// Interface or address to send from.
                config agent: Option<String>;
                /// For other programs.
                config external_ids: StringMap;
                /// Bytes of each sampled packet.
                config header: Option<i64>;
                /// Seconds between counters.
                config polling: Option<i64>;
                /// One packet of so many is sampled.
                config sampling: Option<i64>;
                /// Collectors, `IP:PORT`; at least one.
                config targets: Vec<String> where some;
            }

            /// IPFIX export (RFC 7011).
            Ipfix IpfixColumns "IPFIX" ipfixes {
                /// Seconds that a flow is gathered (0 to 4200).
                config cache_active_timeout: Option<i64> where range(0, 4200);
                /// Most flows that are gathered.
                config cache_max_flows: Option<i64> where range(0, 4_294_967_295);
                /// For other programs.
                config external_ids: StringMap;
                /// Observation domain.
                config obs_domain_id: Option<i64> where range(0, 4_294_967_295);
                /// Observation point.
                config obs_point_id: Option<i64> where range(0, 4_294_967_295);
                /// Options.
                config other_config: StringMap;
                /// One packet of so many is counted.
                config sampling: Option<i64> where range(1, 4_294_967_295);
                /// Collectors, `IP:PORT`.
                config targets: Vec<String>;
            }

            /// Collectors for the packets that OpenFlow `sample` actions choose.
            FlowSampleCollectorSet FlowSampleCollectorSetColumns "Flow_Sample_Collector_Set"
                    flow_sample_collector_sets: root, index(&["id", "bridge"]) {
                /// The bridge with the action.
                config bridge: Uuid where strong("Bridge");
                /// For other programs.
                config external_ids: StringMap;
                /// Number in the action (0 to 2^32-1).
                config id: i64 where range(0, 4_294_967_295);
                /// IPFIX export.
                config ipfix: Option<Uuid> where strong("IPFIX");
            }

            /// What is common to the bridges of one datapath.
            Datapath DatapathColumns "Datapath" datapaths {
                /// What it can do.
                status capabilities: StringMap;
                /// Zone (0 to 65,535) to its `CT_Zone` row.
                config ct_zones: BTreeMap<i64, Uuid> where range(0, 65_535), value_strong("CT_Zone");
                /// Version of the datapath.
                status datapath_version: String;
                /// For other programs.
                config external_ids: StringMap;
            }

            /// A zone of connection tracking.
            CtZone CtZoneColumns "CT_Zone" ct_zones {
                /// For other programs.
                config external_ids: StringMap;
                /// Its timeouts.
                config timeout_policy: Option<Uuid> where strong("CT_Timeout_Policy");
            }

            /// Timeouts of connection tracking.
            CtTimeoutPolicy CtTimeoutPolicyColumns "CT_Timeout_Policy" ct_timeout_policies {
                /// For other programs.
                config external_ids: StringMap;
                /// State of a protocol to seconds (0 to 2^32-1).
                config timeouts: BTreeMap<String, i64>
                    where one_of(&[
                        "tcp_syn_sent", "tcp_syn_recv", "tcp_established", "tcp_fin_wait",
                        "tcp_close_wait", "tcp_last_ack", "tcp_time_wait", "tcp_close",
                        "tcp_syn_sent2", "tcp_retransmit", "tcp_unack", "udp_first", "udp_single",
                        "udp_multiple", "icmp_first", "icmp_reply",
                    ]), value_range(0, 4_294_967_295);
            }
        }
    };
}
