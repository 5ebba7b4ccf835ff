//! Columns of the same form in several tables.

use std::collections::BTreeSet;

use wire::EthAddr;

use crate::warning::Warning;

/// The VLANs of a set column that are VLANs.
pub(crate) fn vlan_set(
    table: &'static str,
    row: &str,
    column: &str,
    values: &[i64],
    warnings: &mut Vec<Warning>,
) -> BTreeSet<u16> {
    let mut set = BTreeSet::new();
    for &v in values {
        match u16::try_from(v) {
            Ok(vlan) if vlan <= 4095 => {
                set.insert(vlan);
            }
            _ => {
                let advice = "accepted is a VLAN, 0 to 4095; left out";
                warnings.push(Warning::of_column((table, row), column, v.to_string(), advice));
            }
        }
    }
    set
}

/// A column that holds an address.
pub(crate) fn mac_column(
    table: &'static str,
    row: &str,
    value: Option<&str>,
    warnings: &mut Vec<Warning>,
) -> Option<EthAddr> {
    let text = value?;
    let mac = text.parse().ok();
    if mac.is_none() {
        let advice = "accepted is an address, xx:xx:xx:xx:xx:xx; ignored";
        warnings.push(Warning::of_column((table, row), "mac", text, advice));
    }
    mac
}
