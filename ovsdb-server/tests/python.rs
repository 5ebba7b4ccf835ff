//! Clients in Python that nobody here wrote: Open vSwitch's package `ovs` and OpenStack's
//! `ovsdbapp`. What ours answers is
//! compared with what the installed `ovsdb-server` does.

harness::main!();

mod program;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use program::{Program, needs, open_vswitch};
use serde_json::json;

/// A Python with the packages. `.ci/setup`, which `run-tests` starts, installs them.
fn python() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python");
    let works = |python: &Path| {
        let mut command = Command::new(python);
        command.args(["-c", "import ovs.db.idl, ovsdbapp.schema.open_vswitch.impl_idl"]);
        command.output().is_ok_and(|out| out.status.success())
    };
    let mut candidates = [own, PathBuf::from("python3")].into_iter();
    candidates.find(|p| works(p)).unwrap_or_else(|| {
        harness::skip("no Python has the packages ovs and ovsdbapp; .ci/setup installs them")
    })
}

const OVSDBAPP: &str = r#"
import sys, time
from ovsdbapp.backend.ovs_idl import connection, idlutils
from ovsdbapp.backend.ovs_idl import event as row_event
from ovsdbapp.schema.open_vswitch import impl_idl
from ovsdbapp import event as ovsdb_event

remote = sys.argv[1]

class Seen(row_event.RowEvent):
    def __init__(self):
        super().__init__((self.ROW_CREATE, self.ROW_UPDATE, self.ROW_DELETE), 'Bridge', None)
        self.what = []
    def run(self, event, row, old):
        self.what.append('%s %s' % (event, row.name))

class Notifying(connection.OvsdbIdl):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.notify_handler = ovsdb_event.RowEventHandler()
    def notify(self, event, row, updates=None):
        self.notify_handler.notify(event, row, updates)

idl = Notifying.from_server(remote, 'Open_vSwitch')
seen = Seen()
idl.notify_handler.watch_event(seen)
conn = connection.Connection(idl=idl, timeout=20)
api = impl_idl.OvsdbIdl(conn)

def result(command):
    return command.execute(check_error=True)

result(api.add_br('br0'))
result(api.add_br('br0', may_exist=True))
with api.transaction(check_error=True) as txn:
    txn.add(api.add_port('br0', 'p1'))
    txn.add(api.add_port('br0', 'p2'))
    txn.add(api.db_set('Interface', 'p1', ('external_ids', {'a': 'b', 'c': 'd'})))
if hasattr(api, 'add_bond'):
    result(api.add_bond('br0', 'bond0', ['e1', 'e2'], bond_mode='balance-slb', lacp='active'))
else:
    # Before there was a command for it.
    with api.transaction(check_error=True) as txn:
        for name in ('bond0', 'e1', 'e2'):
            txn.add(api.add_port('br0', name))
    members = [result(api.db_get('Interface', name, '_uuid')) for name in ('e1', 'e2')]
    with api.transaction(check_error=True) as txn:
        txn.add(api.db_set('Port', 'bond0', ('interfaces', members), ('bond_mode', 'balance-slb'), ('lacp', 'active')))
        txn.add(api.del_port('e1', 'br0'))
        txn.add(api.del_port('e2', 'br0'))
print('ports', sorted(result(api.list_ports('br0'))))
print('bridges', result(api.list_br()))
print('ids', result(api.db_get('Interface', 'p1', 'external_ids')))
result(api.db_set('Port', 'p2', ('tag', 7)))
result(api.db_set('Bridge', 'br0', ('other_config', {'mac-aging-time': '30'})))
print('found', [r['name'] for r in result(api.db_find('Port', ('tag', '=', 7), columns=['name']))])
print('bond', result(api.db_get('Port', 'bond0', 'bond_mode')), result(api.db_get('Port', 'bond0', 'lacp')))
print('port to br', result(api.port_to_br('p1')), result(api.iface_to_br('e1')))
result(api.db_clear('Port', 'p2', 'tag'))
print('cleared', result(api.db_get('Port', 'p2', 'tag')))
result(api.del_port('p1', 'br0'))
try:
    result(api.del_port('p1', 'br0', if_exists=False))
except Exception as error:
    print('no such port', type(error).__name__)
try:
    result(api.db_set('Port', 'p2', ('tag', 9999)))
except Exception as error:
    print('refused', 'constraint violation' in str(error))
print('interfaces', sorted(r['name'] for r in result(api.db_list('Interface', columns=['name']))))
result(api.set_controller('br0', ['tcp:127.0.0.1:6653']))
print('controller', result(api.get_controller('br0')))
result(api.del_br('br0'))
print('bridges', result(api.list_br()))
deadline = time.time() + 15
while time.time() < deadline and not any(w.startswith('delete') for w in seen.what):
    time.sleep(0.05)
print('events', seen.what[0], seen.what[-1])

# After a forced reconnect a row is announced again to an event that waits for it.
result(api.add_br('br1'))
class Created(row_event.WaitEvent):
    event_name = 'Created'
    def __init__(self):
        super().__init__((self.ROW_CREATE,), 'Bridge', (('name', '=', 'br1'),), timeout=15)
again = Created()
idl.notify_handler.watch_event(again)
idl.force_reconnect()
print('again', again.wait())
"#;

const IDL: &str = r#"
import sys, uuid
import ovs.db.idl, ovs.poller, ovs.db.data

remote, schema = sys.argv[1], sys.argv[2]

def open_idl():
    helper = ovs.db.idl.SchemaHelper(schema)
    helper.register_all()
    idl = ovs.db.idl.Idl(remote, helper)
    wait(idl, lambda: idl.has_ever_connected())
    return idl

def wait(idl, holds):
    for _ in range(2000):
        idl.run()
        if holds():
            return
        poller = ovs.poller.Poller()
        idl.wait(poller)
        poller.timer_wait(20)
        poller.block()
    raise SystemExit('waited in vain')

def commit(idl, work):
    txn = ovs.db.idl.Transaction(idl)
    work(txn)
    status = txn.commit_block()
    return ovs.db.idl.Transaction.status_to_string(status), txn

one, two = open_idl(), open_idl()
def begin(txn):
    root = txn.insert(one.tables['Open_vSwitch'])
    bridge = txn.insert(one.tables['Bridge'])
    bridge.name = 'br0'
    bridge.other_config = {'x': 'y'}
    root.addvalue('bridges', bridge)
print('insert', commit(one, begin)[0])
bridges = lambda idl: sorted(r.name for r in idl.tables['Bridge'].rows.values())
wait(two, lambda: bridges(two) == ['br0'])
row = list(two.tables['Bridge'].rows.values())[0]
print('seen', row.name, row.other_config)
def change(txn):
    row.setkey('other_config', 'k', 'v')
    row.delkey('other_config', 'x')
print('change', commit(two, change)[0])
mine = list(one.tables['Bridge'].rows.values())[0]
wait(one, lambda: mine.other_config == {'k': 'v'})
print('seen', mine.other_config)

# Two transactions that verify the same value: one of them has to try again.
def a(txn):
    mine.verify('other_config')
    mine.other_config = {'by': 'one'}
def b(txn):
    row.verify('other_config')
    row.other_config = {'by': 'two'}
wait(two, lambda: row.other_config == {'k': 'v'})
print('first', commit(one, a)[0])
txn = ovs.db.idl.Transaction(two)
b(txn)
print('second', ovs.db.idl.Transaction.status_to_string(txn.commit_block()))

# An index violation and a counter.
def same(txn):
    root = list(one.tables['Open_vSwitch'].rows.values())[0]
    twin = txn.insert(one.tables['Bridge'])
    twin.name = 'br0'
    root.addvalue('bridges', twin)
status, txn = commit(one, same)
print('twin', status, 'constraint violation' in txn.get_error())
def count(txn):
    root = list(one.tables['Open_vSwitch'].rows.values())[0]
    root.increment('next_cfg')
status, txn = commit(one, count)
print('count', status, list(one.tables['Open_vSwitch'].rows.values())[0].next_cfg)

# Conditions.
two.cond_change('Bridge', [['name', '==', 'other']])
wait(two, lambda: bridges(two) == [])
print('condition', bridges(two))
two.cond_change('Bridge', [True])
wait(two, lambda: bridges(two) == ['br0'])
print('condition', bridges(two))
one.set_lock('l')
wait(one, lambda: one.has_lock)
two.set_lock('l')
wait(two, lambda: two.is_lock_contended)
one.set_lock(None)
wait(one, lambda: not one.has_lock)
wait(two, lambda: two.has_lock)
print('locks')

# A client that loses its connection is told of all rows again.
class Counting(ovs.db.idl.Idl):
    told = []
    def notify(self, event, row, updates=None):
        if row._table.name == 'Bridge':
            self.told.append((event, row.name))
helper = ovs.db.idl.SchemaHelper(schema)
helper.register_all()
three = Counting(remote, helper)
wait(three, lambda: ('create', 'br0') in three.told)
for _ in range(2):
    three.told.clear()
    three.force_reconnect()
    wait(three, lambda: ('create', 'br0') in three.told)
    print('again', three.told, three.last_id)
"#;

fn run(p: &Program, python: &std::path::Path, script: &str) -> String {
    std::fs::write(p.dir.path("script.py"), script).unwrap();
    std::fs::write(p.dir.path("schema"), open_vswitch()).unwrap();
    p.good(python.to_str().unwrap(), &["script.py", &p.remote(), &p.dir.text("schema")])
}

/// Does what a switch would that has nothing to do: says that it is configured.
struct Switch {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Switch {
    fn start(p: &Program) -> Switch {
        let mut client = p.client();
        client.transact(json!(["Open_vSwitch",
            {"op": "insert", "table": "Open_vSwitch", "row": {}}]));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let found = client.transact(json!(["Open_vSwitch",
                    {"op": "select", "table": "Open_vSwitch", "where": [],
                     "columns": ["next_cfg", "cur_cfg"]}]));
                let row = &found[0]["rows"][0];
                if row["next_cfg"] != row["cur_cfg"] {
                    client.transact(json!(["Open_vSwitch",
                        {"op": "update", "table": "Interface", "where": [], "row": {"ofport": 1}},
                        {"op": "update", "table": "Open_vSwitch", "where": [],
                         "row": {"cur_cfg": row["next_cfg"]}}]));
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Switch { stop, thread: Some(thread) }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The same script against ours and against the installed server, with a switch if it needs one.
fn same(what: &str, script: &str, switch: bool, begins: &str) {
    let python = python();
    let p = Program::start(what, &open_vswitch(), &[]);
    let ours = {
        let _switch = switch.then(|| Switch::start(&p));
        run(&p, &python, script)
    };
    assert!(ours.starts_with(begins), "{ours}");
    needs("ovsdb-server");
    let mut theirs = Program::start(&format!("{what}-ref"), &open_vswitch(), &[]);
    theirs.kill();
    theirs.run("/usr/sbin/ovsdb-server", &[]);
    let _switch = switch.then(|| Switch::start(&theirs));
    assert_eq!(ours, run(&theirs, &python, script));
    // Nothing went wrong unnoticed. A client that ends with an answer unread resets the connection.
    let log = p.log();
    let mut loud = log.lines().filter(|l| l.contains("|WARN|") || l.contains("|ERR|"));
    assert!(loud.all(|l| l.contains("connection dropped (Connection reset by peer")), "{log}");
}

/// One test, because the packages are installed once.
#[harness::test]
fn python_ovs_and_ovsdbapp_work() {
    same("idl", IDL, false, "insert success\nseen br0 {'x': 'y'}\n");
    same("ovsdbapp", OVSDBAPP, true, "ports ['bond0', 'p1', 'p2']\nbridges ['br0']\n");
}
