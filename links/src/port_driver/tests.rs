//! The published table follows the members' ports.

use arc_swap::ArcSwap;
use bond::{BondConfig, MemberConfig, Mode};
use config::Detect;
use datapath_testing::{Call, Fake};

use super::*;
use crate::settings::LinkDevice;

/// A bond of one member, on this port of the datapath.
fn wanted(handle: &Arc<BondHandle>, port: u32) -> LinkPort {
    let lacp = LacpMemberConfig { port_id: 1, port_priority: 1, key: 0 };
    let (id, name, mac) = (MemberId(1), "p1".to_owned(), EthAddr::from_u64(1));
    let member = MemberConfig { id, name: name.clone(), mac, priority: 0, lacp };
    let config = BondConfig {
        name: "bond0".to_owned(),
        mode: Mode::BalanceSlb,
        members: vec![member],
        ..BondConfig::default()
    };
    let device = LinkDevice::Patch { peer: None };
    LinkPort {
        name: "bond0".to_owned(),
        bridge: "br0".to_owned(),
        kind: LinkPortKind::Bond { config: Box::new(config), handle: handle.clone() },
        detect: Detect::Carrier,
        members: vec![LinkMember {
            id,
            name,
            mac,
            device,
            port_no: Some(PortNo(port)),
            on_wire: false,
        }],
    }
}

fn published(datapath: &Fake) -> Vec<Arc<BucketTable>> {
    let table = |c| match c {
        Call::TablePublish { table, .. } => Some(table),
        _ => None,
    };
    datapath.calls().into_iter().filter_map(table).collect()
}

#[test]
fn table_that_is_out_of_date_is_published_again() {
    let none = Forwarding {
        generation: 0,
        output: OutputRule::Drop,
        buckets: [None; bond::BUCKETS],
        admission: Vec::new(),
        sources: Vec::new(),
    };
    let forwarding = ArcSwap::from_pointee(none.clone());
    let handle = Arc::new(BondHandle { table: TableId(1), forwarding, recirc_id: 1 });
    let (datapath, mut later) = (Fake::new(), Later::default());
    let now = Time::from_millis(1);
    let mut port = PortDriver::new(&wanted(&handle, 7), now);
    port.set_devices(&wanted(&handle, 7), now);
    port.configure(&wanted(&handle, 7), now);
    port.carrier(now, MemberId(1), true);
    port.drain(&datapath, Instant::now(), &mut later);
    assert_eq!(published(&datapath).last().unwrap().buckets, [Some(PortNo(7)); 256]);
    assert!(!port.renew_table(&datapath));

    // The member has another port: nothing changes for the engine.
    port.set_devices(&wanted(&handle, 8), now);
    port.configure(&wanted(&handle, 8), now);
    port.drain(&datapath, Instant::now(), &mut later);
    assert!(published(&datapath).is_empty());
    assert!(port.renew_table(&datapath));
    assert_eq!(published(&datapath)[0].buckets, [Some(PortNo(8)); 256]);
    assert!(!port.renew_table(&datapath));

    // What translation reads was lost.
    handle.forwarding.store(Arc::new(none));
    assert!(port.renew_table(&datapath));
    assert_eq!(handle.forwarding.load().buckets[0], Some(MemberId(1)));
}
