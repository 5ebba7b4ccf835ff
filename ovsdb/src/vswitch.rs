//! The schema of the switch's database, `Open_vSwitch` (`ovs-vswitchd.conf.db(5)`).
//!
//! This is the one place where tables and columns are declared: the text that `get_schema` answers
//! comes from it.

use crate::declare::{Col, Db, Tab, boolean, integer, one_of, range, string, strong, weak};

/// The schema of `Open_vSwitch`.
pub const DATABASE: Db = Db {
    name: "Open_vSwitch",
    version: "8.3.1",
    cksum: "3012963480 26720",
    tables: &[
        AUTOATTACH,
        BRIDGE,
        CT_TIMEOUT_POLICY,
        CT_ZONE,
        CONTROLLER,
        DATAPATH,
        FLOW_SAMPLE_COLLECTOR_SET,
        FLOW_TABLE,
        IPFIX,
        INTERFACE,
        MANAGER,
        MIRROR,
        NETFLOW,
        OPEN_VSWITCH,
        PORT,
        QOS,
        QUEUE,
        SSL,
        SFLOW,
    ],
};

const AUTOATTACH: Tab = Tab::new(
    "AutoAttach",
    &[
        Col::new("mappings", range(0, 16_777_215).to(range(0, 4095))),
        Col::new("system_description", string()),
        Col::new("system_name", string()),
    ],
);

const BRIDGE: Tab = Tab::new(
    "Bridge",
    &[
        Col::new("auto_attach", strong("AutoAttach").optional()),
        Col::new("controller", strong("Controller").set()),
        Col::new("datapath_id", string().optional()).ephemeral(),
        Col::new("datapath_type", string()),
        Col::new("datapath_version", string()),
        Col::new("external_ids", string().to(string())),
        Col::new("fail_mode", one_of(&["standalone", "secure"]).optional()),
        Col::new("flood_vlans", range(0, 4095).up_to(4096)),
        Col::new("flow_tables", range(0, 254).to(strong("Flow_Table"))),
        Col::new("ipfix", strong("IPFIX").optional()),
        Col::new("mcast_snooping_enable", boolean()),
        Col::new("mirrors", strong("Mirror").set()),
        Col::new("name", string()).fixed(),
        Col::new("netflow", strong("NetFlow").optional()),
        Col::new("other_config", string().to(string())),
        Col::new("ports", strong("Port").set()),
        Col::new(
            "protocols",
            one_of(&[
                "OpenFlow10",
                "OpenFlow11",
                "OpenFlow12",
                "OpenFlow13",
                "OpenFlow14",
                "OpenFlow15",
            ])
            .set(),
        ),
        Col::new("rstp_enable", boolean()),
        Col::new("rstp_status", string().to(string())).ephemeral(),
        Col::new("sflow", strong("sFlow").optional()),
        Col::new("status", string().to(string())).ephemeral(),
        Col::new("stp_enable", boolean()),
    ],
)
.indexes(&[&["name"]]);

const CT_TIMEOUT_POLICY: Tab = Tab::new(
    "CT_Timeout_Policy",
    &[
        Col::new("external_ids", string().to(string())),
        Col::new(
            "timeouts",
            one_of(&[
                "tcp_syn_sent",
                "tcp_syn_recv",
                "tcp_established",
                "tcp_fin_wait",
                "tcp_close_wait",
                "tcp_last_ack",
                "tcp_time_wait",
                "tcp_close",
                "tcp_syn_sent2",
                "tcp_retransmit",
                "tcp_unack",
                "udp_first",
                "udp_single",
                "udp_multiple",
                "icmp_first",
                "icmp_reply",
            ])
            .to(range(0, 4_294_967_295)),
        ),
    ],
);

const CT_ZONE: Tab = Tab::new(
    "CT_Zone",
    &[
        Col::new("external_ids", string().to(string())),
        Col::new("timeout_policy", strong("CT_Timeout_Policy").optional()),
    ],
);

const CONTROLLER: Tab = Tab::new(
    "Controller",
    &[
        Col::new("connection_mode", one_of(&["in-band", "out-of-band"]).optional()),
        Col::new("controller_burst_limit", range(25, i64::MAX).optional()),
        Col::new("controller_queue_size", range(1, 512).optional()),
        Col::new("controller_rate_limit", range(100, i64::MAX).optional()),
        Col::new("enable_async_messages", boolean().optional()),
        Col::new("external_ids", string().to(string())),
        Col::new("inactivity_probe", integer().optional()),
        Col::new("is_connected", boolean()).ephemeral(),
        Col::new("local_gateway", string().optional()),
        Col::new("local_ip", string().optional()),
        Col::new("local_netmask", string().optional()),
        Col::new("max_backoff", range(1000, i64::MAX).optional()),
        Col::new("other_config", string().to(string())),
        Col::new("role", one_of(&["other", "master", "slave"]).optional()).ephemeral(),
        Col::new("status", string().to(string())).ephemeral(),
        Col::new("target", string()),
        Col::new("type", one_of(&["primary", "service"]).optional()),
    ],
);

const DATAPATH: Tab = Tab::new(
    "Datapath",
    &[
        Col::new("capabilities", string().to(string())),
        Col::new("ct_zones", range(0, 65_535).to(strong("CT_Zone"))),
        Col::new("datapath_version", string()),
        Col::new("external_ids", string().to(string())),
    ],
);

const FLOW_SAMPLE_COLLECTOR_SET: Tab = Tab::root(
    "Flow_Sample_Collector_Set",
    &[
        Col::new("bridge", strong("Bridge")),
        Col::new("external_ids", string().to(string())),
        Col::new("id", range(0, 4_294_967_295)),
        Col::new("ipfix", strong("IPFIX").optional()),
    ],
)
.indexes(&[&["id", "bridge"]]);

const FLOW_TABLE: Tab = Tab::new(
    "Flow_Table",
    &[
        Col::new("external_ids", string().to(string())),
        Col::new("flow_limit", range(0, i64::MAX).optional()),
        Col::new("groups", string().set()),
        Col::new("name", string().optional()),
        Col::new("overflow_policy", one_of(&["refuse", "evict"]).optional()),
        Col::new("prefixes", string().up_to(3)),
    ],
);

const IPFIX: Tab = Tab::new(
    "IPFIX",
    &[
        Col::new("cache_active_timeout", range(0, 4200).optional()),
        Col::new("cache_max_flows", range(0, 4_294_967_295).optional()),
        Col::new("external_ids", string().to(string())),
        Col::new("obs_domain_id", range(0, 4_294_967_295).optional()),
        Col::new("obs_point_id", range(0, 4_294_967_295).optional()),
        Col::new("other_config", string().to(string())),
        Col::new("sampling", range(1, 4_294_967_295).optional()),
        Col::new("targets", string().set()),
    ],
);

const INTERFACE: Tab = Tab::new(
    "Interface",
    &[
        Col::new("admin_state", one_of(&["up", "down"]).optional()).ephemeral(),
        Col::new("bfd", string().to(string())),
        Col::new("bfd_status", string().to(string())).ephemeral(),
        Col::new("cfm_fault", boolean().optional()).ephemeral(),
        Col::new("cfm_fault_status", string().set()).ephemeral(),
        Col::new("cfm_flap_count", integer().optional()),
        Col::new("cfm_health", range(0, 100).optional()).ephemeral(),
        Col::new("cfm_mpid", integer().optional()),
        Col::new("cfm_remote_mpids", integer().set()).ephemeral(),
        Col::new("cfm_remote_opstate", one_of(&["up", "down"]).optional()).ephemeral(),
        Col::new("duplex", one_of(&["half", "full"]).optional()).ephemeral(),
        Col::new("error", string().optional()),
        Col::new("external_ids", string().to(string())),
        Col::new("ifindex", range(0, 4_294_967_295).optional()).ephemeral(),
        Col::new("ingress_policing_burst", range(0, i64::MAX)),
        Col::new("ingress_policing_kpkts_burst", range(0, i64::MAX)),
        Col::new("ingress_policing_kpkts_rate", range(0, i64::MAX)),
        Col::new("ingress_policing_rate", range(0, i64::MAX)),
        Col::new("lacp_current", boolean().optional()).ephemeral(),
        Col::new("link_resets", integer().optional()).ephemeral(),
        Col::new("link_speed", integer().optional()).ephemeral(),
        Col::new("link_state", one_of(&["up", "down"]).optional()).ephemeral(),
        Col::new("lldp", string().to(string())),
        Col::new("mac", string().optional()),
        Col::new("mac_in_use", string().optional()).ephemeral(),
        Col::new("mtu", integer().optional()).ephemeral(),
        Col::new("mtu_request", range(1, i64::MAX).optional()),
        Col::new("name", string()).fixed(),
        Col::new("ofport", integer().optional()),
        Col::new("ofport_request", range(1, 65_279).optional()),
        Col::new("options", string().to(string())),
        Col::new("other_config", string().to(string())),
        Col::new("statistics", string().to(integer())).ephemeral(),
        Col::new("status", string().to(string())).ephemeral(),
        Col::new("type", string()),
    ],
)
.indexes(&[&["name"]]);

const MANAGER: Tab = Tab::new(
    "Manager",
    &[
        Col::new("connection_mode", one_of(&["in-band", "out-of-band"]).optional()),
        Col::new("external_ids", string().to(string())),
        Col::new("inactivity_probe", integer().optional()),
        Col::new("is_connected", boolean()).ephemeral(),
        Col::new("max_backoff", range(1000, i64::MAX).optional()),
        Col::new("other_config", string().to(string())),
        Col::new("status", string().to(string())).ephemeral(),
        Col::new("target", string()),
    ],
)
.indexes(&[&["target"]]);

const MIRROR: Tab = Tab::new(
    "Mirror",
    &[
        Col::new("external_ids", string().to(string())),
        Col::new("name", string()),
        Col::new("output_port", weak("Port").optional()),
        Col::new("output_vlan", range(1, 4095).optional()),
        Col::new("select_all", boolean()),
        Col::new("select_dst_port", weak("Port").set()),
        Col::new("select_src_port", weak("Port").set()),
        Col::new("select_vlan", range(0, 4095).up_to(4096)),
        Col::new("snaplen", range(14, 65_535).optional()),
        Col::new("statistics", string().to(integer())).ephemeral(),
    ],
);

const NETFLOW: Tab = Tab::new(
    "NetFlow",
    &[
        Col::new("active_timeout", range(-1, i64::MAX)),
        Col::new("add_id_to_interface", boolean()),
        Col::new("engine_id", range(0, 255).optional()),
        Col::new("engine_type", range(0, 255).optional()),
        Col::new("external_ids", string().to(string())),
        Col::new("targets", string().some()),
    ],
);

const OPEN_VSWITCH: Tab = Tab::root(
    "Open_vSwitch",
    &[
        Col::new("bridges", strong("Bridge").set()),
        Col::new("cur_cfg", integer()),
        Col::new("datapath_types", string().set()),
        Col::new("datapaths", string().to(strong("Datapath"))),
        Col::new("db_version", string().optional()),
        Col::new("dpdk_initialized", boolean()),
        Col::new("dpdk_version", string().optional()),
        Col::new("external_ids", string().to(string())),
        Col::new("iface_types", string().set()),
        Col::new("manager_options", strong("Manager").set()),
        Col::new("next_cfg", integer()),
        Col::new("other_config", string().to(string())),
        Col::new("ovs_version", string().optional()),
        Col::new("ssl", strong("SSL").optional()),
        Col::new("statistics", string().to(string())).ephemeral(),
        Col::new("system_type", string().optional()),
        Col::new("system_version", string().optional()),
    ],
)
.max_rows(1);

const PORT: Tab = Tab::new(
    "Port",
    &[
        Col::new("bond_active_slave", string().optional()),
        Col::new("bond_downdelay", integer()),
        Col::new("bond_fake_iface", boolean()),
        Col::new("bond_mode", one_of(&["balance-tcp", "balance-slb", "active-backup"]).optional()),
        Col::new("bond_updelay", integer()),
        Col::new("cvlans", range(0, 4095).up_to(4096)),
        Col::new("external_ids", string().to(string())),
        Col::new("fake_bridge", boolean()),
        Col::new("interfaces", strong("Interface").some()),
        Col::new("lacp", one_of(&["active", "passive", "off"]).optional()),
        Col::new("mac", string().optional()),
        Col::new("name", string()).fixed(),
        Col::new("other_config", string().to(string())),
        Col::new("protected", boolean()),
        Col::new("qos", strong("QoS").optional()),
        Col::new("rstp_statistics", string().to(integer())).ephemeral(),
        Col::new("rstp_status", string().to(string())).ephemeral(),
        Col::new("statistics", string().to(integer())).ephemeral(),
        Col::new("status", string().to(string())).ephemeral(),
        Col::new("tag", range(0, 4095).optional()),
        Col::new("trunks", range(0, 4095).up_to(4096)),
        Col::new(
            "vlan_mode",
            one_of(&["trunk", "access", "native-tagged", "native-untagged", "dot1q-tunnel"])
                .optional(),
        ),
    ],
)
.indexes(&[&["name"]]);

const QOS: Tab = Tab::root(
    "QoS",
    &[
        Col::new("external_ids", string().to(string())),
        Col::new("other_config", string().to(string())),
        Col::new("queues", range(0, 4_294_967_295).to(strong("Queue"))),
        Col::new("type", string()),
    ],
);

const QUEUE: Tab = Tab::root(
    "Queue",
    &[
        Col::new("dscp", range(0, 63).optional()),
        Col::new("external_ids", string().to(string())),
        Col::new("other_config", string().to(string())),
    ],
);

const SSL: Tab = Tab::new(
    "SSL",
    &[
        Col::new("bootstrap_ca_cert", boolean()),
        Col::new("ca_cert", string()),
        Col::new("certificate", string()),
        Col::new("external_ids", string().to(string())),
        Col::new("private_key", string()),
    ],
)
.max_rows(1);

const SFLOW: Tab = Tab::new(
    "sFlow",
    &[
        Col::new("agent", string().optional()),
        Col::new("external_ids", string().to(string())),
        Col::new("header", integer().optional()),
        Col::new("polling", integer().optional()),
        Col::new("sampling", integer().optional()),
        Col::new("targets", string().some()),
    ],
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::DatabaseSchema;

    /// Where Debian's `openvswitch-common` has it.
    const INSTALLED: &str = "/usr/share/openvswitch/vswitch.ovsschema";

    #[test]
    fn it_is_that_of_the_reference_table_by_table_and_column_by_column() {
        let ours = DATABASE.schema();
        let text = match std::fs::read_to_string(INSTALLED) {
            Ok(text) => text,
            Err(error) => {
                // Loud, but no failure: the package need not be there to build this.
                eprintln!("NOT COMPARED: {INSTALLED}: {error}");
                return;
            }
        };
        let theirs = DatabaseSchema::parse(&text).unwrap();
        assert_eq!(
            (&ours.name, &ours.version, &ours.cksum),
            (&theirs.name, &theirs.version, &theirs.cksum)
        );
        let names = |schema: &DatabaseSchema| schema.tables.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&ours), names(&theirs));
        for (name, table) in &theirs.tables {
            let own = &ours.tables[name];
            let columns = table.columns.keys().collect::<Vec<_>>();
            assert_eq!(own.columns.keys().collect::<Vec<_>>(), columns, "{name}");
            for (column, schema) in &table.columns {
                assert_eq!(&own.columns[column], schema, "{name}.{column}");
            }
            assert_eq!(own, table, "{name}");
        }
    }

    #[test]
    fn its_text_reads_back() {
        let schema = DATABASE.schema();
        assert_eq!(DatabaseSchema::parse(&schema.to_json()).unwrap(), schema);
    }
}
