//! How the members of a port with LACP form an aggregate, and how many a bond needs: the options that
//! Linux bonding has and Open vSwitch has not.

use ::bond::{AggregationConfig, BondConfig, SelectionPolicy};

use crate::option::{Opt, range};
use crate::section::Section;

/// Keys of `Port.other_config` that say how LACP forms an aggregate.
pub(crate) const AGGREGATION: &[Opt<AggregationConfig>] = &[
    Opt::flag(
        "lacp-strict",
        "without an LACP partner no member is usable, lacp-fallback-ab notwithstanding",
        |a: &mut AggregationConfig, on| a.strict = on,
    )
    .since("0.1.0"),
    Opt::word_any_case(
        "lacp-coupled-control",
        "a member collects and distributes at once; false: it distributes when its partner collects",
        &["true", "false"],
        |a: &mut AggregationConfig, word| a.coupled_control = word == "true",
    )
    .since("0.1.0"),
    Opt::word(
        "lacp-selection",
        "which of several possible aggregates is used; all but stable choose anew at each change",
        &["stable", "bandwidth", "count", "actor-port-priority"],
        |a: &mut AggregationConfig, word| {
            a.selection = match word {
                "bandwidth" => SelectionPolicy::Bandwidth,
                "count" => SelectionPolicy::Count,
                "actor-port-priority" => SelectionPolicy::ActorPortPriority,
                _ => SelectionPolicy::Stable,
            }
        },
    )
    .since("0.1.0"),
];

/// Keys of `Port.other_config` that say how many members a bond needs.
pub(crate) const MIN_LINKS: &[Opt<u32>] = &[Opt::number(
    "bond-min-links",
    "with fewer enabled members the bond carries nothing",
    range(0, i32::MAX as i64, 0, "members").note("0 = 1"),
    |min: &mut u32, n| *min = n as u32,
)
.since("0.1.0")];

/// Warns of values that contradict each other or the bond; `lacp` is whether the port has LACP.
pub(crate) fn check(s: &mut Section<'_>, bond: &BondConfig, members: usize, lacp: bool) {
    if bond.min_links as usize > members {
        s.warn(
            "bond-min-links",
            format!("more than the bond's {members} members; it will carry nothing"),
        );
    }
    let strict = s.map.get("lacp-strict").is_some_and(|v| v.eq_ignore_ascii_case("true"));
    if strict && bond.lacp_fallback_ab {
        s.warn("lacp-fallback-ab", "lacp-strict is set too, so there is no fallback");
    }
    if !lacp {
        for option in AGGREGATION.iter().filter(|o| s.map.contains_key(o.key)) {
            s.warn(option.key, "the port has no LACP (column lacp); it has no effect");
        }
    }
}
