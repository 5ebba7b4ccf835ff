//! The log as a whole. One test: levels, patterns and the file are the process's.

use std::fs;
use std::time::{Duration, Instant};

use runtime::log::{self, Destination, Level, Module, RateLimit};

static BOND: Module = Module::new("bond");
static LACP: Module = Module::new("lacp");
static RL: RateLimit = RateLimit::new(1, 2);

fn not_evaluated() -> u8 {
    panic!("the argument of a disabled message")
}

#[test]
fn everything() {
    let dir = std::env::temp_dir().join(format!("braid-log-{}", std::process::id()));
    fs::create_dir(&dir).unwrap();
    let file = dir.join("x.log");
    let text = || fs::read_to_string(&file).unwrap();

    log::init("ovs-vswitchd");
    // The harness names its threads.
    log::set_subprogram("");
    log::register(&[&LACP, &BOND]);
    log::register(&[&BOND]);
    log::console_off();
    log::set_syslog_method("null").unwrap();
    let e = log::set_syslog_method("pigeon").unwrap_err().to_string();
    assert_eq!(e, "syslog method \"pigeon\" is not one of libc, null, unix:FILE, udp:IP:PORT");
    log::set_from_spec("syslog:off").unwrap();
    assert!(!BOND.enabled(Level::Emer), "nothing goes anywhere");
    assert_eq!(
        log::levels(),
        "                 console    syslog    file\n\
         \x20                -------    ------    ------\n\
         bond               OFF        OFF       INFO\n\
         lacp               OFF        OFF       INFO\n\
         util               OFF        OFF       INFO\n\
         vlog               OFF        OFF       INFO\n"
    );
    assert_eq!(
        log::patterns(),
        "         prefix                            format\n\
         \x20        ------                            ------\n\
         SYSLOG   none                              ovs|%05N|%c%T|%p|%m\n\
         CONSOLE  none                              %D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m\n\
         FILE     none                              %D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m\n"
    );

    log::set_file(&file).unwrap();
    assert!(BOND.enabled(Level::Info) && !BOND.enabled(Level::Dbg));
    log::set_from_spec("PATTERN:file:%c%T|%p|%m").unwrap();
    runtime::info!(BOND, "one {}", 1);
    runtime::dbg!(BOND, "not shown {}", not_evaluated());
    // Words in any order and case; only that module.
    log::set_from_spec("Dbg,FILE bond").unwrap();
    runtime::dbg!(BOND, "two");
    runtime::dbg!(LACP, "not shown");
    assert_eq!(
        (BOND.level(Destination::File), BOND.level(Destination::Console)),
        (Level::Dbg, Level::Off)
    );
    for (spec, want) in [
        ("bond:lacp", "cannot specify multiple modules"),
        ("file:console", "cannot specify multiple destinations"),
        ("info:warn", "cannot specify multiple levels"),
        ("nosuch", "no destination, level, or module \"nosuch\""),
        ("FACILITY:nosuch", "invalid facility"),
        ("pattern:", "missing destination"),
    ] {
        assert_eq!(log::set_from_spec(spec), Err(want.to_owned()), "{spec}");
    }
    log::set_from_spec("FACILITY:local3").unwrap();

    // From here on through the writer thread.
    log::start_writer().unwrap();
    log::start_writer().unwrap();
    std::thread::Builder::new()
        .name("links3".into())
        .spawn(|| runtime::warn!(LACP, "three\n"))
        .unwrap()
        .join()
        .unwrap();
    for i in 0..4 {
        runtime::warn_rl!(LACP, RL, "limited {i}");
    }
    log::set_rate_limits(&["lacp".into()], false).unwrap();
    assert!(
        log::levels()
            .contains("lacp               OFF        OFF       INFO    (rate limiting disabled)\n")
    );
    runtime::warn_rl!(LACP, RL, "unlimited");
    assert_eq!(log::set_rate_limits(&["nosuch".into()], true), Err("unknown module"));
    let logger = log::root().new(slog::o!("module" => "bond"));
    slog::warn!(logger, "from slog"; "key" => 5);
    slog::warn!(log::root(), "no module");
    slog::warn!(log::root().new(slog::o!("module" => "stranger")), "not registered");
    log::flush();
    assert_eq!(
        text().lines().skip(1).collect::<Vec<_>>(),
        [
            "bond|INFO|one 1",
            "bond|DBG|two",
            "lacp(links3)|WARN|three",
            "lacp|WARN|limited 0",
            "lacp|WARN|limited 1",
            "lacp|WARN|unlimited",
            "bond|WARN|from slog",
            "util|WARN|no module",
            "stranger|WARN|not registered",
        ]
    );

    // Closed, then reopened; closing keeps the name.
    log::close_file();
    assert!(!BOND.enabled(Level::Info));
    assert_eq!(log::file_name().as_deref(), Some(file.as_path()));
    runtime::info!(BOND, "lost");
    log::reopen_file().unwrap().unwrap();
    log::flush();
    assert!(text().ends_with(&format!("vlog|INFO|opened log file {}\n", file.display())));
    assert!(log::set_file(&file.join("below a file")).is_err());

    // As JSON, with all pairs; what is text goes on as text.
    log::set_format(log::Format::Json);
    runtime::info!(BOND, "bond0: member \"{}\" is up", "eth0"; "bond" => "bond0", "vlan" => 5);
    slog::warn!(logger, "from slog"; "key" => "value");
    log::set_format(log::Format::Text);
    log::flush();
    let all = text();
    let mut last = all.lines().rev().take(2).map(|line| {
        let mut v: serde_json::Value = serde_json::from_str(line).unwrap();
        let time = v.as_object_mut().unwrap().remove("time").unwrap();
        let time = time.as_str().unwrap();
        assert!(time.len() == 27 && time.ends_with('Z') && time.as_bytes()[19] == b'.', "{time}");
        v
    });
    assert_eq!(
        last.next().unwrap(),
        serde_json::json!({"level": "WARN", "module": "bond", "thread": "main",
            "message": "from slog", "key": "value"})
    );
    assert_eq!(
        last.next().unwrap(),
        serde_json::json!({"level": "INFO", "module": "bond", "thread": "main",
            "message": "bond0: member \"eth0\" is up", "bond": "bond0", "vlan": 5})
    );

    // A file that blocks: no caller waits for it, every line arrives or is counted as dropped, and
    // the count is logged when there is room again.
    const LINES: usize = 20_000;
    let pipe = dir.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Opened for both, so that neither end waits for the other.
    let mut reader = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    log::set_file(&pipe).unwrap();
    let t = Instant::now();
    let long = "x".repeat(200);
    for i in 0..LINES {
        runtime::info!(BOND, "{i} {long}");
    }
    assert!(t.elapsed() < Duration::from_secs(4), "{:?}", t.elapsed());
    let dropped = log::dropped();
    assert!(dropped > 0);
    const REPORT: &str = "log messages because the log could not keep up\n";
    let reader = std::thread::spawn(move || {
        use std::io::Read;
        let mut all = String::new();
        let mut buf = vec![0; 1 << 16];
        let arrived = |all: &str| all.lines().filter(|l| l.ends_with(&long)).count();
        while !(all.ends_with('\n') && all.contains(REPORT))
            || arrived(&all) + reported(&all) < LINES
        {
            let n = reader.read(&mut buf).unwrap();
            all.push_str(std::str::from_utf8(&buf[..n]).unwrap());
        }
        (arrived(&all), reported(&all))
    });
    /// The numbers in all reports.
    fn reported(all: &str) -> usize {
        let numbers = all.lines().filter_map(|l| {
            let (_, rest) = l.split_once("|WARN|Dropped ")?;
            rest.strip_suffix(REPORT.trim_end())?.trim().parse::<usize>().ok()
        });
        numbers.sum()
    }
    let (arrived, reported) = reader.join().unwrap();
    assert_eq!(arrived + reported, LINES);
    assert_eq!(reported as u64, dropped);
    assert_eq!(log::dropped(), 0);
    fs::remove_dir_all(&dir).unwrap();
}
