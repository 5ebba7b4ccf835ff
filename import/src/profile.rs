//! What a configuration says about one device, in whichever format it is written.

use serde::{Deserialize, Serialize};

/// One device as configured: a bond, a team, a member, a VLAN on top, or a bridge.
///
/// Several profiles make one bond: formats say in the member, in the bond or in both which
/// belongs to which. [`crate::bond::assemble`] puts them together.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// The device's name.
    pub name: String,
    /// Other names by which profiles refer to this one: a connection's UUID or ID.
    pub aliases: Vec<String>,
    /// File, or a short name of another source.
    pub source: String,
    /// What kind of device it is.
    pub kind: Kind,
    /// The device, or an alias of its profile, that this one is a port of.
    pub master: Option<String>,
    /// The ports that the profile of a bond, team or bridge names, in its order.
    pub ports: Vec<String>,
    /// Options of a bond, as Linux calls them, in the order of the source.
    pub options: Vec<BondOption>,
    /// Keys of `Port.other_config` for what Linux bonding has no option for.
    pub extra: Vec<(&'static str, String)>,
    /// What the profile of a port says.
    pub port: Port,
    /// What the profile of a bond says of its ports.
    pub port_settings: Vec<(String, Port)>,
    /// Addresses, routes, MTU and MAC address.
    pub network: Network,
    /// What has no equal, as sentences.
    pub remarks: Vec<String>,
}

/// The kind of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// An Ethernet device, or unknown.
    #[default]
    Device,
    /// A bond or team.
    Bond,
    /// A VLAN device.
    Vlan {
        /// The device below, or an alias of its profile.
        parent: String,
        /// The VLAN ID, 1 to 4094.
        id: u16,
    },
    /// A Linux bridge.
    Bridge,
}

/// An option of Linux bonding with a canonical name and value: see [`crate::options`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BondOption {
    /// The kernel's name, such as `primary_reselect`.
    pub name: &'static str,
    /// The kernel's word, or a decimal number, or addresses separated by commas.
    pub value: String,
}

/// Settings of one port of a bond.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Port {
    /// The kernel's `prio`: the higher is preferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// LACP port priority, the lower is preferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacp_priority: Option<u16>,
    /// LACP key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacp_key: Option<u16>,
}

impl Port {
    /// Takes what `other` says and this does not.
    pub fn merge(&mut self, other: &Port) {
        self.priority = self.priority.or(other.priority);
        self.lacp_priority = self.lacp_priority.or(other.lacp_priority);
        self.lacp_key = self.lacp_key.or(other.lacp_key);
    }
}

/// What belongs to the device that carries the host's addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Address and prefix length.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<ipnet::IpNet>,
    /// Routes over the device.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// An address comes by DHCP (IPv4, or IPv6).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dhcp: bool,
    /// Name servers, as written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// The MTU in octets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The hardware address, as `xx:xx:xx:xx:xx:xx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

impl Network {
    /// Whether the host uses the device itself.
    pub fn is_used(&self) -> bool {
        !self.addresses.is_empty() || !self.routes.is_empty() || self.dhcp
    }

    /// Adds a default route.
    pub fn gateway(&mut self, via: &str) {
        self.routes.push(Route { to: "default".into(), via: Some(via.into()), ..Route::default() });
    }
}

/// A route, as `ip route` takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// `default` or a prefix.
    pub to: String,
    /// The gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// The routing table's name or number, if it is not `main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The preferred source address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The gateway is on the link although no prefix covers it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub onlink: bool,
}

impl Route {
    /// The arguments of `ip route add` after which `dev NAME` follows.
    pub fn arguments(&self) -> Vec<String> {
        let mut words = vec![self.to.clone()];
        let mut pair = |word: &str, value: &Option<String>| {
            if let Some(value) = value {
                words.extend([word.to_owned(), value.clone()]);
            }
        };
        pair("via", &self.via);
        pair("metric", &self.metric.map(|m| m.to_string()));
        pair("table", &self.table);
        pair("src", &self.source);
        if self.onlink {
            words.push("onlink".into());
        }
        words
    }

    /// Whether `ip` needs `-6` for it.
    pub fn is_ipv6(&self) -> bool {
        self.to.contains(':') || self.via.as_ref().is_some_and(|v| v.contains(':'))
    }
}
