//! Commands on any table.

use crate::rig::{Rig, sorted};

#[harness::test]
fn set_get_add_remove_clear() {
    let rig = Rig::new();
    rig.ok("add-br br0 -- set b br0 other-config:a=1 other_config:b='\"x y\"' flood_vlans=3,1-2");
    assert_eq!(
        rig.ok("get bridge br0 other_config flood-vlans"),
        "{a=\"1\", b=\"x y\"}\n[1, 2, 3]\n"
    );
    assert_eq!(rig.ok("get bridge br0 other_config:b"), "\"x y\"\n");
    rig.ok("add b br0 other_config c=3 a=9 -- remove b br0 other_config b -- remove b br0 flood_vlans 2");
    // `add` keeps a key that is there.
    assert_eq!(rig.ok("get b br0 other_config flood_vlans"), "{a=\"1\", c=\"3\"}\n[1, 3]\n");
    rig.ok("remove b br0 other_config c=4 a=1 -- clear b br0 flood_vlans");
    assert_eq!(rig.ok("get b br0 other_config flood_vlans"), "{c=\"3\"}\n[]\n");
    // Each command sees what those before it did.
    assert_eq!(
        rig.ok("set b br0 other_config={} -- set b br0 other_config:z=1 other_config:y=2 -- get b br0 other_config"),
        "{y=\"2\", z=\"1\"}\n"
    );
    assert_eq!(rig.ok("set b br0 other_config={} other_config:k=v"), "");
    assert_eq!(rig.ok("get b br0 other_config"), "{k=v}\n");
    assert_eq!(rig.ok("--if-exists get b br9 name -- --if-exists set b br9 stp_enable=1"), "");
}

#[harness::test]
fn rows_are_found_in_every_way() {
    let rig = Rig::new();
    rig.ok("add-br br0 -- set-controller br0 tcp:1.2.3.4");
    let uuid = rig.ok("get bridge br0 _uuid").trim_end().to_owned();
    for name in [uuid.as_str(), &uuid[..8], &uuid[..4], "br0"] {
        assert_eq!(rig.ok(&format!("get bridge {name} name")), "br0\n", "{name}");
    }
    assert_eq!(rig.ok("get controller br0 target"), "\"tcp:1.2.3.4\"\n");
    assert_eq!(rig.ok("get Open_vSwitch . bridges"), format!("[{uuid}]\n"));
    assert_eq!(
        rig.refused(&format!("get bridge {} name", &uuid[..3])),
        format!("no row \"{}\" in table Bridge", &uuid[..3])
    );
    rig.ok("add-br br1");
    assert_eq!(rig.refused("get bridge . name"), "no row \".\" in table Bridge");
}

#[harness::test]
fn create_with_names_and_destroy() {
    let rig = Rig::new();
    rig.ok("add-br br0 -- add-port br0 p1");
    let uuid = rig.ok(
        "--id=@p get port p1 -- --id=@m create mirror name=m select-dst-port=@p -- add bridge br0 mirrors @m",
    );
    assert_eq!(rig.ok("get mirror m _uuid"), uuid);
    let chosen = "c5cc12f8-eaa1-43a7-8a73-bccd18df1111";
    let ran = rig.ours(&format!(
        "--no-wait --id={chosen} create QoS type=linux-htb queues:5=@q -- --id=@q create queue \
         other_config:max-rate=9"
    ));
    // Servers of before 3.2 do not let a client choose.
    if ran.status == 0 {
        assert_eq!(ran.out.lines().next(), Some(chosen));
        rig.ok("--all destroy QoS -- --all destroy Queue");
    }
    let root = rig.ok("create QoS type=linux-htb");
    rig.ok(&format!("destroy QoS {root}"));
    assert_eq!(rig.ok("list QoS"), "");
    assert_eq!(
        rig.refused("set bridge br0 mirrors=@nobody"),
        "row id \"@nobody\" is referenced but never created (e.g. with \"-- --id=@nobody create ...\")"
    );
    assert_eq!(
        rig.refused("--id=@a create queue -- --id=@a create queue"),
        "'create' command requires at least 2 arguments"
    );
    assert_eq!(
        rig.refused("--id=@a create queue dscp=1 -- --id=@a create queue dscp=2"),
        "row id \"@a\" may only be specified on one --id option"
    );
    let warned = rig.ours("--no-wait -vPATTERN:console:%c|%p|%m create Bridge name=x");
    assert_eq!(
        warned.err,
        "db_ctl_base|WARN|applying \"create\" command to table Bridge without --id option will \
         have no effect\n"
    );
}

#[harness::test]
fn find_with_conditions() {
    let rig = Rig::new();
    rig.ok("add-br a -- set b a flood_vlans=0 -- add-br b -- set b b flood_vlans=0,1 \
            other_config:x=y -- add-br c -- set b c other_config:x=z");
    for (condition, names) in [
        ("flood_vlans=0", "a"),
        ("flood_vlans!=0", "b c"),
        ("flood_vlans{>=}0", "a b"),
        ("flood_vlans{not-in}1", "a c"),
        ("flood_vlans<0,1", "a c"),
        ("other-config:x=y", "b"),
        ("other-config:x!=y", "c"),
        ("other-config:x{!=}y", "a c"),
        ("other-config:x>y", "c"),
        ("other-config{<=}x=y", "a b"),
        ("name>=b", "b c"),
    ] {
        let found = rig.ok(&format!("--bare --columns=name find bridge {condition}"));
        assert_eq!(sorted(&found).join(" "), names, "{condition}");
    }
    assert_eq!(rig.ok("--bare --columns=name find bridge name=a flood_vlans=0"), "a\n");
    assert_eq!(
        rig.refused("find bridge name:x=y"),
        "cannot specify key to check for non-map column name"
    );
}

#[harness::test]
fn oneline_and_dry_run() {
    let rig = Rig::new();
    assert_eq!(rig.ok("--oneline add-br b -- add-br a\\b -- list-br"), "\n\na\\\\b\\nb\n");
    assert_eq!(rig.ok("--dry-run add-br c -- list-br"), "a\\b\nb\nc\n");
    assert_eq!(rig.ok("list-br"), "a\\b\nb\n");
    // Without --no-wait a dry run has nothing to wait for.
    assert_eq!(rig.ours("-t 5 --dry-run add-br c").status, 0);
}

#[harness::test]
fn writers_of_one_map_do_not_lose_each_others_keys() {
    let rig = Rig::new();
    rig.ok("add-br br0");
    const WRITERS: usize = 4;
    const ROUNDS: usize = 6;
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let rig = &rig;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let key = format!("w{writer}r{round}");
                    // Alone it is a mutation; followed by another command, it is read and written,
                    // and tried again if somebody was faster.
                    rig.ok(&format!("set b br0 other_config:{key}=1"));
                    rig.ok(&format!("set b br0 external_ids:{key}=1 -- list-br"));
                    rig.ok(&format!("add-port br0 {key}"));
                }
            });
        }
    });
    let all = WRITERS * ROUNDS;
    for column in ["other_config", "external_ids"] {
        let value = rig.ok(&format!("get b br0 {column}"));
        assert_eq!(value.matches("=\"1\"").count(), all, "{value}");
    }
    assert_eq!(rig.ok("list-ports br0").lines().count(), all);
}
