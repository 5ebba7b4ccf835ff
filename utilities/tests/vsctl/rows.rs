//! Commands on any table.

use crate::bed::{Bed, sorted};

#[harness::test]
fn set_get_add_remove_clear() {
    let bed = Bed::new();
    bed.ok("add-br br0 -- set b br0 other-config:a=1 other_config:b='\"x y\"' flood_vlans=3,1-2");
    assert_eq!(
        bed.ok("get bridge br0 other_config flood-vlans"),
        "{a=\"1\", b=\"x y\"}\n[1, 2, 3]\n"
    );
    assert_eq!(bed.ok("get bridge br0 other_config:b"), "\"x y\"\n");
    bed.ok("add b br0 other_config c=3 a=9 -- remove b br0 other_config b -- remove b br0 flood_vlans 2");
    // `add` keeps a key that is there.
    assert_eq!(bed.ok("get b br0 other_config flood_vlans"), "{a=\"1\", c=\"3\"}\n[1, 3]\n");
    bed.ok("remove b br0 other_config c=4 a=1 -- clear b br0 flood_vlans");
    assert_eq!(bed.ok("get b br0 other_config flood_vlans"), "{c=\"3\"}\n[]\n");
    // Each command sees what those before it did.
    assert_eq!(
        bed.ok("set b br0 other_config={} -- set b br0 other_config:z=1 other_config:y=2 -- get b br0 other_config"),
        "{y=\"2\", z=\"1\"}\n"
    );
    assert_eq!(bed.ok("set b br0 other_config={} other_config:k=v"), "");
    assert_eq!(bed.ok("get b br0 other_config"), "{k=v}\n");
    assert_eq!(bed.ok("--if-exists get b br9 name -- --if-exists set b br9 stp_enable=1"), "");
}

#[harness::test]
fn rows_are_found_in_every_way() {
    let bed = Bed::new();
    bed.ok("add-br br0 -- set-controller br0 tcp:1.2.3.4");
    let uuid = bed.ok("get bridge br0 _uuid").trim_end().to_owned();
    for name in [uuid.as_str(), &uuid[..8], &uuid[..4], "br0"] {
        assert_eq!(bed.ok(&format!("get bridge {name} name")), "br0\n", "{name}");
    }
    assert_eq!(bed.ok("get controller br0 target"), "\"tcp:1.2.3.4\"\n");
    assert_eq!(bed.ok("get Open_vSwitch . bridges"), format!("[{uuid}]\n"));
    assert_eq!(
        bed.refused(&format!("get bridge {} name", &uuid[..3])),
        format!("no row \"{}\" in table Bridge", &uuid[..3])
    );
    bed.ok("add-br br1");
    assert_eq!(bed.refused("get bridge . name"), "no row \".\" in table Bridge");
}

#[harness::test]
fn create_with_names_and_destroy() {
    let bed = Bed::new();
    bed.ok("add-br br0 -- add-port br0 p1");
    let uuid = bed.ok(
        "--id=@p get port p1 -- --id=@m create mirror name=m select-dst-port=@p -- add bridge br0 mirrors @m",
    );
    assert_eq!(bed.ok("get mirror m _uuid"), uuid);
    let chosen = "c5cc12f8-eaa1-43a7-8a73-bccd18df1111";
    let ran = bed.ours(&format!(
        "--no-wait --id={chosen} create QoS type=linux-htb queues:5=@q -- --id=@q create queue \
         other_config:max-rate=9"
    ));
    // Servers of before 3.2 do not let a client choose.
    if ran.status == 0 {
        assert_eq!(ran.out.lines().next(), Some(chosen));
        bed.ok("--all destroy QoS -- --all destroy Queue");
    }
    let root = bed.ok("create QoS type=linux-htb");
    bed.ok(&format!("destroy QoS {root}"));
    assert_eq!(bed.ok("list QoS"), "");
    assert_eq!(
        bed.refused("set bridge br0 mirrors=@nobody"),
        "row id \"@nobody\" is referenced but never created (e.g. with \"-- --id=@nobody create ...\")"
    );
    assert_eq!(
        bed.refused("--id=@a create queue -- --id=@a create queue"),
        "'create' command requires at least 2 arguments"
    );
    assert_eq!(
        bed.refused("--id=@a create queue dscp=1 -- --id=@a create queue dscp=2"),
        "row id \"@a\" may only be specified on one --id option"
    );
    let warned = bed.ours("--no-wait -vPATTERN:console:%c|%p|%m create Bridge name=x");
    assert_eq!(
        warned.err,
        "db_ctl_base|WARN|applying \"create\" command to table Bridge without --id option will \
         have no effect\n"
    );
}

#[harness::test]
fn find_with_conditions() {
    let bed = Bed::new();
    bed.ok("add-br a -- set b a flood_vlans=0 -- add-br b -- set b b flood_vlans=0,1 \
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
        let found = bed.ok(&format!("--bare --columns=name find bridge {condition}"));
        assert_eq!(sorted(&found).join(" "), names, "{condition}");
    }
    assert_eq!(bed.ok("--bare --columns=name find bridge name=a flood_vlans=0"), "a\n");
    assert_eq!(
        bed.refused("find bridge name:x=y"),
        "cannot specify key to check for non-map column name"
    );
}

#[harness::test]
fn oneline_and_dry_run() {
    let bed = Bed::new();
    assert_eq!(bed.ok("--oneline add-br b -- add-br a\\b -- list-br"), "\n\na\\\\b\\nb\n");
    assert_eq!(bed.ok("--dry-run add-br c -- list-br"), "a\\b\nb\nc\n");
    assert_eq!(bed.ok("list-br"), "a\\b\nb\n");
    // Without --no-wait a dry run has nothing to wait for.
    assert_eq!(bed.ours("-t 5 --dry-run add-br c").status, 0);
}

#[harness::test]
fn writers_of_one_map_do_not_lose_each_others_keys() {
    let bed = Bed::new();
    bed.ok("add-br br0");
    const WRITERS: usize = 4;
    const ROUNDS: usize = 6;
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let bed = &bed;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let key = format!("w{writer}r{round}");
                    // Alone it is a mutation; followed by another command, it is read and written,
                    // and tried again if somebody was faster.
                    bed.ok(&format!("set b br0 other_config:{key}=1"));
                    bed.ok(&format!("set b br0 external_ids:{key}=1 -- list-br"));
                    bed.ok(&format!("add-port br0 {key}"));
                }
            });
        }
    });
    let all = WRITERS * ROUNDS;
    for column in ["other_config", "external_ids"] {
        let value = bed.ok(&format!("get b br0 {column}"));
        assert_eq!(value.matches("=\"1\"").count(), all, "{value}");
    }
    assert_eq!(bed.ok("list-ports br0").lines().count(), all);
}
