//! Rows of `Flow_Table`: the settings of OpenFlow tables.

use std::collections::BTreeMap;

use ofproto::tables::{TableSettings, has_trie};
use openflow::text::parse_subfield_prefix;
use openflow::{Field, Subfield};
use ovsdb_client::rows::{Bridge, FlowTable, Tables};

/// How many fields of a table can be looked up by prefix.
const MAX_PREFIXES: usize = 4;

/// The settings of a bridge's tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WantTables {
    /// By table; a table without row has the default.
    pub settings: BTreeMap<u8, TableSettings>,
    /// What is wrong with the rows, in the words that Open vSwitch logs.
    pub complaints: Vec<String>,
}

pub(crate) fn want(tables: &Tables, bridge: &Bridge) -> WantTables {
    let mut want = WantTables::default();
    for (number, uuid) in &bridge.flow_tables {
        let Ok(number) = u8::try_from(*number) else {
            want.complaints.push(format!(
                "bridge {}: ignoring configuration for flow table {number} not supported by this \
                 datapath",
                bridge.name
            ));
            continue;
        };
        let Some(row) = tables.flow_tables.get(uuid) else { continue };
        let of = format!("bridge {} table {number}", bridge.name);
        let settings = TableSettings {
            name: row.name.clone(),
            flow_limit: row.flow_limit.and_then(|l| u32::try_from(l).ok()),
            evict: row.overflow_policy.as_deref() == Some("evict"),
            groups: groups(row, &of, &mut want.complaints),
            prefixes: prefixes(row, &bridge.name, &mut want.complaints),
        };
        want.settings.insert(number, settings);
    }
    want
}

fn groups(row: &FlowTable, of: &str, complaints: &mut Vec<String>) -> Vec<Subfield> {
    let mut groups = Vec::new();
    for text in &row.groups {
        match parse_subfield_prefix(text) {
            Ok((group, "")) => groups.push(group),
            Ok(_) => {
                complaints
                    .push(format!("{of}: 'groups' element '{text}' contains trailing garbage"));
            }
            Err(e) => complaints.push(format!("{of}: error parsing 'groups' ({e})")),
        }
    }
    groups
}

fn prefixes(row: &FlowTable, bridge: &str, complaints: &mut Vec<String>) -> Vec<Field> {
    let mut complain = |what: &str, name: &str| {
        complaints.push(format!("bridge {bridge}: 'prefixes' with {what}: {name}"));
    };
    let mut fields = Vec::new();
    for name in &row.prefixes {
        if name == "none" {
            return Vec::new();
        }
        match Field::from_name(name) {
            None => complain("unknown field", name),
            Some(field) if !has_trie(field) => complain("incompatible field", name),
            Some(_) if fields.len() >= MAX_PREFIXES => {
                complain("too many fields, field not used", name);
            }
            Some(field) => fields.push(field),
        }
    }
    if fields.is_empty() { TableSettings::default().prefixes } else { fields }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(prefixes: &[&str], groups: &[&str]) -> FlowTable {
        let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        FlowTable { prefixes: owned(prefixes), groups: owned(groups), ..FlowTable::default() }
    }

    #[test]
    fn prefix_fields() {
        let default = TableSettings::default().prefixes;
        let cases: [(&[&str], &[Field], &[&str]); 6] = [
            (&[], &default, &[]),
            (&["none"], &[], &[]),
            (&["nw_src", "ipv6_dst"], &[Field::Ipv4Src, Field::Ipv6Dst], &[]),
            (&["ip_src", "none"], &[], &[]),
            (&["foo"], &default, &["bridge br0: 'prefixes' with unknown field: foo"]),
            (
                &["eth_src", "tun_id"],
                &[Field::TunId],
                &["bridge br0: 'prefixes' with incompatible field: eth_src"],
            ),
        ];
        for (names, expected, complaints) in cases {
            let mut said = Vec::new();
            assert_eq!(prefixes(&row(names, &[]), "br0", &mut said), expected, "{names:?}");
            assert_eq!(said, complaints, "{names:?}");
        }
    }

    #[test]
    fn group_fields() {
        let mut said = Vec::new();
        let row = row(&[], &["in_port[]", "nonsense[]", "eth_src[0..7]x"]);
        let found = groups(&row, "bridge br0 table 1", &mut said);
        assert_eq!(found, [Subfield::whole(Field::InPort)]);
        let [unknown, trailing] = &said[..] else { panic!("{said:?}") };
        assert!(unknown.starts_with("bridge br0 table 1: error parsing 'groups' ("), "{unknown}");
        assert_eq!(
            trailing,
            "bridge br0 table 1: 'groups' element 'eth_src[0..7]x' contains trailing garbage"
        );
    }
}
