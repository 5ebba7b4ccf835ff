//! `dpctl/*` on flows: what is cached, and flows put in, changed and taken out by hand.

use std::any::Any;
use std::fmt::Write;
use std::sync::Arc;

use datapath::format::compat::WithoutPacketType;
use datapath::format::{self, FlowDump, parse, parse_actions};
use datapath::{Action, DatapathError, FlowHandle, PortNo};
use openflow::text::{self, Names};
use openflow::{Fields, OfPort};
use wire::{FlowKey, FlowMask};

use crate::modules::DPIF_NETDEV;

use super::context::{Answer, Call, Context};
use super::dpctl_options::{Options, options};
use super::flow_dump::{dumps, lines};
use super::view::View;

/// What a command on a datapath works on: the datapath, the options and the arguments behind the datapath's
/// name, which may be left out while there is one datapath and there are fewer than `most`
/// arguments.
pub(super) fn open<'a>(
    c: &Context,
    args: &'a [String],
    most: usize,
) -> Result<(Context, Options, &'a [String]), String> {
    let (options, rest) = options(args)?;
    let known = c.datapaths();
    if let Some((name, rest)) = rest.split_first()
        && known.contains(name)
    {
        let context = c.with_user_datapath(name).unwrap_or_else(|| c.clone());
        return Ok((context, options, rest));
    }
    if rest.len() == most {
        return Err("ovs-vswitchd: datapath not found (Invalid argument)\n".to_owned());
    }
    one(&known)?;
    Ok((c.clone(), options, rest))
}

/// There must be exactly one.
fn one(known: &[String]) -> Result<(), String> {
    let why = match known.len() {
        0 => "no datapaths exist",
        1 => return Ok(()),
        _ => "multiple datapaths, specify one",
    };
    Err(format!("ovs-vswitchd: {why}\novs-vswitchd: datapath not found (Invalid argument)\n"))
}

/// `dpctl/dump-flows`.
pub fn dump_flows(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let (mut filter, mut types, mut pmd) = (None, None, None);
    let mut args = call.args;
    while let Some((last, before)) = args.split_last() {
        if let (Some(text), None) = (last.strip_prefix("filter="), filter) {
            filter = Some(text);
        } else if let (Some(text), None) = (last.strip_prefix("type="), types) {
            types = Some(text);
        } else if let Some(text) = last.strip_prefix("pmd=") {
            // One packet thread, which is the main one in Open vSwitch's terms.
            pmd = Some(text.parse::<i32>().ok().filter(|n| *n >= -1).ok_or("")?);
        } else {
            break;
        }
        args = before;
    }
    let (c, options, _) = &open(c, args, 1)?;
    let view = c.view.lock().clone();
    let mut flows = c.datapath.flows();
    if let Some(filter) = filter {
        let wanted = text::parse_exact_match(filter, &DatapathNames(&view))
            .map_err(|e| format!("ovs-vswitchd: Failed to parse filter ({e})\n"))?;
        flows.retain(|f| wanted.matches(&fields(&f.key)));
    }
    let shown = types.map_or(Ok(true), ours)?;
    if !shown || pmd.is_some_and(|n| n >= 0) {
        flows.clear();
    }
    call.show(&dumps(c, *options, &flows, &view), |d| match (d.is_empty(), pmd) {
        (true, _) => String::new(),
        (false, None) => format!("flow-dump from the main thread:\n{}", lines(d)),
        (false, Some(_)) => lines(d),
    })
}

/// A flow's key as a filter looks at it: datapath port numbers in the place of OpenFlow's.
fn fields(key: &FlowKey) -> Fields {
    let in_port = OfPort(u16::try_from(key.in_port).unwrap_or(OfPort::NONE.0));
    Fields { key: FlowKey { in_port: 0, ..*key }, in_port, ..Fields::default() }
}

/// Whether a list of types of flows takes in those of this datapath, which offloads none.
fn ours(types: &str) -> Result<bool, String> {
    let mut ours = false;
    for name in types.split(',').filter(|t| !t.is_empty()) {
        ours |= match name {
            "ovs" | "non-offloaded" | "all" => true,
            "tc" | "dpdk" | "offloaded" | "partially-offloaded" => false,
            _ => {
                return Err(format!(
                    "ovs-vswitchd: Failed to parse type ({name}) (Invalid argument)\n"
                ));
            }
        };
    }
    Ok(ours)
}

/// Ports of the datapath, where a filter names one.
struct DatapathNames<'a>(&'a View);

impl Names for DatapathNames<'_> {
    fn port_number(&self, name: &str) -> Option<OfPort> {
        let found = self.0.ports.iter().find(|(_, (n, _))| n == name)?;
        u16::try_from(found.0.0).ok().map(OfPort)
    }
}

/// Splits off an identity, `ufid:..`; what follows is the match.
fn split_ufid(text: &str) -> (Option<&str>, &str) {
    let text = text.trim_start();
    let Some(rest) = text.strip_prefix("ufid:") else { return (None, text) };
    let end = rest.find([',', ' ', '\t', '\n']).unwrap_or(rest.len());
    (Some(&rest[..end]), rest[end..].trim_start_matches([',', ' ', '\t', '\n']))
}

fn find(
    c: &Context,
    ufid: Option<&str>,
    key: &FlowKey,
    mask: &FlowMask,
) -> Option<Arc<FlowHandle>> {
    let is_it = |f: &Arc<FlowHandle>| match ufid {
        Some(id) => format::ufid(f).eq_ignore_ascii_case(id),
        None => f.mask == *mask && f.key == key.masked(mask),
    };
    c.datapath.flows().into_iter().find(is_it)
}

fn matching(c: &Context, text: &str) -> Result<(FlowKey, FlowMask), parse::ParseError> {
    let view = c.view.lock().clone();
    let (mut key, mut mask) = parse::flow(text, &|name| port(&view, name))?;
    // Every flow looks at these.
    mask.recirc_id = u32::MAX;
    if matches!(key.eth_type, wire::EtherType::IPV4 | wire::EtherType::IPV6) {
        mask.nw_frag = wire::key::FRAG_ANY | wire::key::FRAG_LATER;
    }
    if key.eth_type != wire::EtherType::NONE {
        mask.eth_type = u16::MAX;
    }
    key.pad = 0;
    Ok((key, mask))
}

fn port(view: &View, name: &str) -> Option<PortNo> {
    view.ports.iter().find(|(_, (n, _))| n == name).map(|(port, _)| *port)
}

fn actions(c: &Context, text: &str) -> Result<Vec<Action>, String> {
    let view = c.view.lock().clone();
    parse_actions::actions(text, &|name| port(&view, name))
        .map_err(|e| format!("ovs-vswitchd: parsing actions ({e})\n"))
}

/// What to do with flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Add,
    Modify,
    Delete,
}

/// Puts one flow in, or changes one.
fn put(c: &Context, o: Options, verb: Verb, flow: &str, what: &str) -> Result<String, String> {
    let failed = |why: &str| format!("ovs-vswitchd: updating flow table ({why})\n");
    let (ufid, text) = split_ufid(flow);
    let (key, mask) = matching(c, text)
        .map_err(|e| format!("ovs-vswitchd: parsing flow key ({e}) (Invalid argument)\n"))?;
    let actions = actions(c, what)?;
    if mask.in_port != u32::MAX {
        crate::err!(DPIF_NETDEV, "failed to put flow: in_port is not an exact match");
        return Err(failed("Invalid argument"));
    }
    let old = find(c, ufid, &key, &mask);
    let flow = match (verb, old) {
        (Verb::Modify, Some(old)) => {
            old.actions.store(Arc::new(actions));
            if o.clear {
                old.reset_stats();
            }
            old
        }
        (Verb::Modify, None) if !o.may_create => return Err(failed("No such file or directory")),
        (Verb::Add | Verb::Modify | Verb::Delete, _) => {
            let notes: Option<Arc<dyn Any + Send + Sync>> = if text.contains("packet_type(") {
                None
            } else {
                Some(Arc::new(WithoutPacketType))
            };
            let new = FlowHandle::new(key, mask, actions, notes, c.datapath.now());
            c.datapath.flow_install(new).map_err(|e| match e {
                DatapathError::FlowExists => failed("File exists"),
                e => failed(&e.to_string()),
            })?
        }
    };
    Ok(if o.statistics { statistics(c, &flow) } else { String::new() })
}

/// Counters, as they stand in a dump.
fn statistics(c: &Context, flow: &FlowHandle) -> String {
    let show = format::Show { table: &|_| None, names: None, more: false };
    FlowDump::new(flow, c.datapath.now(), show).statistics() + "\n"
}

fn delete(c: &Context, o: Options, flow: &str) -> Result<String, String> {
    let (ufid, text) = split_ufid(flow);
    let (key, mask) =
        matching(c, text).map_err(|e| format!("ovs-vswitchd: {e} (Invalid argument)\n"))?;
    let Some(old) = find(c, ufid, &key, &mask) else {
        let mut why = "ovs-vswitchd: deleting flow (No such file or directory)\n".to_owned();
        if ufid.is_none() {
            why += "Perhaps you need to specify a UFID?\n";
        }
        return Err(why);
    };
    c.datapath.flow_remove(&old);
    Ok(if o.statistics { statistics(c, &old) } else { String::new() })
}

/// `dpctl/add-flow`.
pub fn add_flow(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    put_one(c, call, Verb::Add)
}

/// `dpctl/mod-flow`.
pub fn mod_flow(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    put_one(c, call, Verb::Modify)
}

fn put_one(c: &Context, call: &Call<'_>, verb: Verb) -> Result<Answer, String> {
    let (ref c, o, rest) = open(c, call.args, 3)?;
    let [flow, actions] = rest else { return Err(too_few("flow and actions")) };
    Answer::text(put(c, o, verb, flow, actions)?)
}

fn too_few(what: &str) -> String {
    format!("ovs-vswitchd: {what} are to be given\n")
}

/// `dpctl/del-flow`.
pub fn del_flow(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let (ref c, o, rest) = open(c, call.args, 2)?;
    let [flow] = rest else { return Err(too_few("a flow's fields")) };
    Answer::text(delete(c, o, flow)?)
}

/// `dpctl/get-flow`.
pub fn get_flow(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let (ref c, o, rest) = open(c, call.args, 2)?;
    let [text] = rest else { return Err(too_few("a flow's digits")) };
    let invalid = || "ovs-vswitchd: parsing flow ufid (Invalid argument)\n".to_owned();
    let ufid = split_ufid(text).0.ok_or_else(invalid)?;
    let (key, mask) = (FlowKey::default(), FlowMask::default());
    let flow = find(c, Some(ufid), &key, &mask)
        .ok_or("ovs-vswitchd: getting flow (No such file or directory)\n")?;
    let view = c.view.lock().clone();
    call.show(&dumps(c, o, &[flow], &view), |d| lines(d))
}

/// `dpctl/add-flows`.
pub fn add_flows(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    from_file(c, call, Verb::Add)
}

/// `dpctl/mod-flows`.
pub fn mod_flows(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    from_file(c, call, Verb::Modify)
}

/// All flows, or those of a file.
pub fn del_flows(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let (_, rest) = options(call.args)?;
    let named = rest.first().is_some_and(|dp| c.datapaths().contains(dp));
    if rest.len() > usize::from(named) {
        return from_file(c, call, Verb::Delete);
    }
    open(c, call.args, 1)?.0.datapath.flow_flush();
    Answer::text("")
}

/// Lines of flows, each perhaps with its own verb in front. What one line cannot do does not keep
/// the others from it.
fn from_file(c: &Context, call: &Call<'_>, verb: Verb) -> Result<Answer, String> {
    let (ref c, o, rest) = open(c, call.args, 3)?;
    let [file] = rest else { return Err(too_few("a file's lines")) };
    let text = std::fs::read_to_string(file).map_err(|e| {
        format!("ovs-vswitchd: Opening file \"{file}\" failed ({})\n", posix::text(&e))
    })?;
    let mut out = String::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let word = line.split([',', ' ', '\t']).next().unwrap_or_default();
        let (verb, line) = match word {
            "add" => (Verb::Add, &line[word.len()..]),
            "modify" => (Verb::Modify, &line[word.len()..]),
            "delete" => (Verb::Delete, &line[word.len()..]),
            _ => (verb, line),
        };
        let line = line.trim_start();
        let (flow, what) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let what = what.trim();
        let done = match verb {
            Verb::Add | Verb::Modify if !what.is_empty() => put(c, o, verb, flow, what),
            Verb::Delete if what.is_empty() && !flow.is_empty() => delete(c, o, flow),
            Verb::Add | Verb::Modify | Verb::Delete => {
                Err(format!("ovs-vswitchd: Failed parsing line number {}, skipped!\n", n + 1))
            }
        };
        // Writing to a string cannot fail.
        let _ = write!(out, "{}", done.unwrap_or_else(|e| e));
    }
    Answer::text(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<(Options, usize), String> {
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        options(&args).map(|(o, rest)| (o, rest.len()))
    }

    #[test]
    fn options_come_first() {
        let none = Options::default();
        assert_eq!(parsed(&["a", "-m"]), Ok((none, 2)));
        let (more, rest) = parsed(&["-m", "--no-names", "x"]).unwrap();
        assert_eq!((more, rest), (Options { more: true, ..none }, 1));
        let both = Options { more: true, names: true, statistics: true, ..none };
        assert_eq!(parsed(&["-ms"]), Ok((both, 0)));
        assert_eq!(parsed(&["--what"]), Err("Unrecognized option --what".to_owned()));
        assert_eq!(parsed(&["-mx"]), Err("Unrecognized option -x".to_owned()));
    }

    #[test]
    fn a_filter_names_datapath_ports() {
        let port = |in_port| fields(&FlowKey { in_port, eth_type: 0x0800, ..FlowKey::default() });
        let wanted = |text| text::parse_exact_match(text, &text::NoNames).unwrap();
        assert!(wanted("in_port(90),ip").matches(&port(90)));
        assert!(!wanted("in_port(90),ip").matches(&port(9)));
        assert!(!wanted("in_port(90),arp").matches(&port(90)));
    }

    #[test]
    fn types_of_flows() {
        assert_eq!(ours("tc,non-offloaded"), Ok(true));
        assert_eq!(ours("tc,dpdk"), Ok(false));
        assert!(ours("tc,what").is_err());
    }

    #[test]
    fn an_identity_may_stand_before_a_match() {
        assert_eq!(split_ufid("ufid:1-2, in_port(1)"), (Some("1-2"), "in_port(1)"));
        assert_eq!(split_ufid(" in_port(1)"), (None, "in_port(1)"));
        assert_eq!(split_ufid("ufid:1"), (Some("1"), ""));
    }
}
