//! What is to be done for a bond: rows of the database, addresses, and what has no equal.

mod settings;

use serde::Serialize;

use crate::bond::{Bond, Bridge};
use crate::profile::Network;
use settings::Settings;

/// Longest name of a Linux device: IFNAMSIZ without the terminating zero.
const NAME_MAX: usize = 15;

/// The plan for one bond.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The bond as it was found.
    pub bond: Bond,
    /// The bridge in Open vSwitch; its internal port carries the bond's addresses.
    pub bridge: String,
    /// Arguments of one `ovs-vsctl`; empty = nothing can be done.
    pub vsctl: Vec<String>,
    /// Internal ports with what they take over.
    pub ports: Vec<InternalPort>,
    /// What has no equal, or what the operator must know, as sentences.
    pub remarks: Vec<String>,
}

/// An internal port that takes over a device's addresses.
#[derive(Clone, Debug, Serialize)]
pub struct InternalPort {
    /// The internal port.
    pub name: String,
    /// The Linux device that has the addresses now.
    pub from: String,
    /// What is configured.
    pub network: Network,
}

/// The plan for a bond. `bridge` is the name of the bridge, if it is not to be chosen.
pub fn plan(bond: &Bond, bridge: Option<&str>) -> Plan {
    let settings = settings::translate(bond);
    let name = bridge.map_or_else(|| bridge_name(bond), str::to_owned);
    let mut plan = Plan {
        bond: bond.clone(),
        bridge: name,
        vsctl: Vec::new(),
        ports: Vec::new(),
        remarks: bond.remarks.clone(),
    };
    plan.remarks.extend(settings.remarks.iter().cloned());
    if bond.members.is_empty() {
        plan.remarks
            .push(format!("{} has no members here; give the files of its members too.", bond.name));
        return plan;
    }
    plan.commands(&settings);
    plan.addresses();
    plan
}

/// `br-NAME`, or the Linux bridge's name.
fn bridge_name(bond: &Bond) -> String {
    if let Some(bridge) = &bond.bridge {
        return bridge.name.clone();
    }
    let mut name = format!("br-{}", bond.name);
    while name.len() > NAME_MAX {
        name.pop();
    }
    name
}

impl Plan {
    /// The `ovs-vsctl` command.
    fn commands(&mut self, settings: &Settings) {
        let bond = &self.bond;
        let mut words = vec!["--may-exist".into(), "add-br".into(), self.bridge.clone()];
        let command = |words: &mut Vec<String>, more: &[&str]| {
            words.push("--".into());
            words.extend(more.iter().map(|w| (*w).to_owned()));
        };
        let mac = bond.network.mac.clone().or_else(|| bond.bridge.as_ref()?.network.mac.clone());
        if let Some(mac) = mac {
            let hwaddr = setting("other_config:hwaddr", &mac);
            command(&mut words, &["set", "Bridge", &self.bridge, &hwaddr]);
        }
        let port = if let [only] = &bond.members[..] {
            command(&mut words, &["--may-exist", "add-port", &self.bridge, &only.name]);
            only.name.clone()
        } else {
            command(&mut words, &["--may-exist", "add-bond", &self.bridge, &bond.name]);
            words.extend(bond.members.iter().map(|m| m.name.clone()));
            bond.name.clone()
        };
        if !settings.port.is_empty() {
            command(&mut words, &["set", "Port", &port]);
            words.extend(settings.port.iter().map(|(key, value)| setting(key, value)));
        }
        for (member, keys) in &settings.members {
            command(&mut words, &["set", "Interface", member]);
            words.extend(keys.iter().map(|(key, value)| setting(key, value)));
        }
        if let Some(mtu) = bond.network.mtu.filter(|m| *m != 1500) {
            let request = setting("mtu_request", &mtu.to_string());
            for member in bond.members.iter().map(|m| &m.name).chain([&self.bridge]) {
                command(&mut words, &["set", "Interface", member, &request]);
            }
        }
        for vlan in &bond.vlans {
            let id = vlan.id.to_string();
            if let Some(bridge) = &vlan.bridge {
                // A bridge of Open vSwitch that is one VLAN of another.
                command(&mut words, &["--may-exist", "add-br", &bridge.name, &self.bridge, &id]);
                continue;
            }
            let tag = setting("tag", &id);
            command(&mut words, &["--may-exist", "add-port", &self.bridge, &vlan.name, &tag]);
            command(&mut words, &["set", "Interface", &vlan.name, "type=internal"]);
            if let Some(mtu) = vlan.network.mtu.filter(|m| *m != 1500) {
                words.push(setting("mtu_request", &mtu.to_string()));
            }
        }
        self.vsctl = words;
        if let [only] = &self.bond.members[..] {
            self.remarks.push(format!(
                "{} has one member: an ordinary port {} stands for it, and the options of a bond \
                 wait for a second one.",
                self.bond.name, only.name
            ));
        }
    }

    /// Which internal port takes over what.
    fn addresses(&mut self) {
        let Plan { bond, bridge, ports, remarks, .. } = self;
        let mut add = |name: &str, from: &str, network: &Network| {
            if network.is_used() {
                ports.push(InternalPort {
                    name: name.to_owned(),
                    from: from.to_owned(),
                    network: network.clone(),
                });
            }
            if network.dhcp {
                remarks.push(format!(
                    "The address of {from} comes by DHCP: let the DHCP client run on {name}."
                ));
            }
            if !network.dns.is_empty() {
                remarks.push(format!(
                    "The name servers of {from} ({}) are not part of a switch: keep them where the \
                     resolver is configured.",
                    network.dns.join(", ")
                ));
            }
        };
        let bridged = |name: &str, b: &Bridge, remarks: &mut Vec<String>| {
            remarks.push(format!(
                "{name} is a port of the Linux bridge {}: delete that bridge first, because the new \
                 one has its name.",
                b.name
            ));
            if !b.other_ports.is_empty() {
                remarks.push(format!(
                    "Its other ports are to be added with ovs-vsctl add-port {}: {}.",
                    b.name,
                    b.other_ports.join(", ")
                ));
            }
        };
        add(bridge, &bond.name, &bond.network);
        if let Some(b) = &bond.bridge {
            add(bridge, &b.name, &b.network);
        }
        for vlan in &bond.vlans {
            match &vlan.bridge {
                Some(b) => add(&b.name, &b.name, &b.network),
                None => add(&vlan.name, &vlan.name, &vlan.network),
            }
        }
        if let Some(b) = &bond.bridge {
            bridged(&bond.name, b, remarks);
        }
        for vlan in &bond.vlans {
            if let Some(b) = &vlan.bridge {
                bridged(&vlan.name, b, remarks);
            }
        }
    }

    /// Arguments of `ip`, in order, that give the internal ports their configured addresses.
    pub fn ip_commands(&self) -> Vec<Vec<String>> {
        let mut commands = Vec::new();
        for port in &self.ports {
            let name = &port.name;
            commands.push(words(&["link", "set", "dev", name, "up"]));
            for address in &port.network.addresses {
                commands.push(words(&["address", "add", &address.to_string(), "dev", name]));
            }
            for route in &port.network.routes {
                let mut command = words(if route.is_ipv6() { &["-6"] } else { &[] });
                command.extend(words(&["route", "add"]));
                command.extend(route.arguments());
                command.extend(words(&["dev", name]));
                commands.push(command);
            }
        }
        commands
    }

    /// A shell script with the remarks as comments.
    pub fn script(&self) -> String {
        let bond = &self.bond;
        let mut text = format!("# {}: {} ({})\n", bond.name, bond.mode(), bond.sources.join(", "));
        for remark in &self.remarks {
            text.push_str(&format!("# {remark}\n"));
        }
        if self.vsctl.is_empty() {
            return text;
        }
        text.push_str("ovs-vsctl");
        let mut first = true;
        for command in self.vsctl.split(|w| w == "--") {
            if !first {
                text.push_str(" \\\n    --");
            }
            first = false;
            for word in command {
                text.push(' ');
                text.push_str(&quoted(word));
            }
        }
        text.push('\n');
        for command in self.ip_commands() {
            let command: Vec<String> = command.iter().map(|w| quoted(w)).collect();
            text.push_str(&format!("ip {}\n", command.join(" ")));
        }
        text
    }
}

/// Arguments of a command.
pub(crate) fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|w| (*w).to_owned()).collect()
}

/// `KEY=VALUE` of `ovs-vsctl set`; the value in quotation marks where its syntax needs them.
fn setting(key: &str, value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-+".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        format!("{key}={value}")
    } else {
        format!("{key}={}", serde_json::Value::from(value))
    }
}

/// A word for the shell. `shlex` quotes more than the shell needs.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-+=:/,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), std::borrow::Cow::into_owned)
}
