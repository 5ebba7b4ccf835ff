//! `dpif-netdev/pmd-*`: what the packet thread has done.
//!
//! There is one packet thread, which Open vSwitch's terms call the main thread: it is bound to no
//! core, sleeps when there is nothing to do, and polls all ports. So there are no PMD threads to
//! list, and no share of a queue in a core.

use std::time::SystemTime;

use ::datapath::DatapathStats;

use super::context::{Answer, Call, Context};

/// The core that Open vSwitch gives to a thread that has none.
const NO_CORE: u32 = u32::MAX;

/// The seconds that the share of a queue is measured over, at most.
const MOST_SECONDS: u32 = 60;

/// What is asked for.
struct Asked {
    /// The datapath's name, and what finds it.
    name: String,
    context: Context,
    /// The thread is asked for, or no thread in particular.
    thread: bool,
    seconds: Option<u32>,
}

/// `[-pmd CORE] [-secs SECONDS] [DATAPATH]`, and the options that choose parts of a history, which
/// only PMD threads have. A datapath that does not exist is passed over while there is only one.
fn asked(c: &Context, args: &[String]) -> Result<Asked, String> {
    let known = c.datapaths();
    let (mut thread, mut seconds, mut name) = (true, None, None);
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        match arg {
            "-pmd" => {
                let core = args.next().and_then(|n| n.parse::<i64>().ok());
                thread = core.is_none_or(|n| n as u32 == NO_CORE);
            }
            "-secs" => seconds = args.next().and_then(|n| n.parse().ok()),
            "-it" | "-ms" => drop(args.next()),
            "-nh" => {}
            dp => name = known.iter().find(|k| *k == dp || k.split('@').nth(1) == Some(dp)),
        }
    }
    let name = match (name, &known[..]) {
        (Some(name), _) | (None, [name]) => name.clone(),
        (None, _) => return Err("please specify an existing datapath".to_owned()),
    };
    let context = c.with_user_datapath(&name).unwrap_or_else(|| c.clone());
    Ok(Asked { name, context, thread, seconds })
}

/// Since the counters were cleared.
fn since(c: &Context, asked: &Asked) -> (f64, DatapathStats) {
    let (start, old) = c.cleared.0.lock().get(&asked.name).copied().unwrap_or_default();
    let now = asked.context.datapath.stats();
    let seconds = c.datapath.now().since(start).as_secs_f64();
    let stats = DatapathStats {
        hit: now.hit - old.hit,
        missed: now.missed - old.missed,
        lost: now.lost - old.lost,
        received: now.received - old.received,
        recirculated: now.recirculated - old.recirculated,
        masked_hit: now.masked_hit - old.masked_hit,
        masked_lookup: now.masked_lookup - old.masked_lookup,
        sent: now.sent - old.sent,
        sent_batches: now.sent_batches - old.sent_batches,
        ..now
    };
    (seconds, stats)
}

/// `dpif-netdev/pmd-perf-show`.
pub fn perf_show(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let asked = asked(c, call.args)?;
    if !asked.thread {
        return Answer::text("");
    }
    let (seconds, stats) = since(c, &asked);
    let mut out = format!(
        "\nTime: {}\nMeasurement duration: {seconds:.3} s\n\nmain thread:\n\n",
        time_of_day(SystemTime::now())
    );
    out += &overall(&stats, seconds);
    Answer::text(out)
}

/// `HH:MM:SS.mmm`, UTC.
fn time_of_day(now: SystemTime) -> String {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (s, ms) = (since.as_secs() % 86_400, since.subsec_millis());
    format!("{:02}:{:02}:{:02}.{ms:03}", s / 3600, s / 60 % 60, s % 60)
}

/// The counters as `pmd-perf-show` has them. The signature cache is what Open vSwitch calls SMC;
/// there is no cache of its other kinds.
fn overall(s: &DatapathStats, seconds: f64) -> String {
    let mut out = String::new();
    let kpps = |n: u64| n as f64 / seconds.max(f64::MIN_POSITIVE) / 1000.0;
    if s.received > 0 {
        let passes = s.received + s.recirculated;
        let share = |n: u64| 100.0 * n as f64 / passes as f64;
        let smc = s.hit.saturating_sub(s.masked_hit);
        let lookups =
            if s.masked_hit > 0 { s.masked_lookup as f64 / s.masked_hit as f64 } else { 0.0 };
        out += &format!(
            "  Rx packets:         {:12}  ({:.0} Kpps)\n  \
             Datapath passes:    {passes:12}  ({:.2} passes/pkt)\n",
            s.received,
            kpps(s.received),
            passes as f64 / s.received as f64,
        );
        let kinds =
            [("PHWOL hits:       ", 0), ("Simple Match hits:", 0), ("EMC hits:         ", 0)];
        for (kind, n) in kinds.into_iter().chain([("SMC hits:         ", smc)]) {
            out += &format!("  - {kind}{n:12}  ({:5.1} %)\n", share(n));
        }
        out += &format!(
            "  - Megaflow hits:    {:12}  ({:5.1} %, {lookups:.2} subtbl lookups/hit)\n  \
             - Upcalls:          {:12}  ({:5.1} %)\n  \
             - Lost upcalls:     {:12}  ({:5.1} %)\n",
            s.masked_hit,
            share(s.masked_hit),
            s.missed,
            share(s.missed),
            s.lost,
            share(s.lost),
        );
    } else {
        out += &format!("  Rx packets:         {:12}\n", 0);
    }
    if s.sent > 0 {
        let batches = s.sent_batches.max(1);
        out += &format!(
            "  Tx packets:         {:12}  ({:.0} Kpps)\n  \
             Tx batches:         {batches:12}  ({:.2} pkts/batch)\n",
            s.sent,
            kpps(s.sent),
            s.sent as f64 / batches as f64,
        );
    } else {
        out += &format!("  Tx packets:         {:12}\n\n", 0);
    }
    out
}

/// `dpif-netdev/pmd-stats-clear`.
pub fn stats_clear(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let asked = asked(c, call.args)?;
    if asked.thread {
        let now = (c.datapath.now(), asked.context.datapath.stats());
        c.cleared.0.lock().insert(asked.name, now);
    }
    Answer::text("")
}

/// `dpif-netdev/pmd-rxq-show`.
pub fn rxq_show(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let asked = asked(c, call.args)?;
    if !asked.thread {
        return Answer::text("");
    }
    // Measured in steps of five.
    let seconds = match asked.seconds {
        Some(n @ 1..=MOST_SECONDS) => n.next_multiple_of(5),
        Some(_) | None => MOST_SECONDS,
    };
    Answer::text(format!("Displaying last {seconds} seconds pmd usage %\n"))
}

/// `dpif-netdev/pmd-sleep-show`.
pub fn sleep_show(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    asked(c, call.args)?;
    Answer::text(format!("Default max sleep: {:4} us\n", 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_shown_as_there() {
        let none = DatapathStats::default();
        assert_eq!(
            overall(&none, 2.0),
            "  Rx packets:                    0\n  Tx packets:                    0\n\n"
        );
        let some = DatapathStats {
            hit: 3900,
            missed: 100,
            received: 3000,
            recirculated: 1000,
            masked_hit: 900,
            masked_lookup: 1800,
            sent: 6000,
            sent_batches: 1500,
            ..none
        };
        assert_eq!(
            overall(&some, 2.0),
            "  Rx packets:                 3000  (2 Kpps)
  Datapath passes:            4000  (1.33 passes/pkt)
  - PHWOL hits:                  0  (  0.0 %)
  - Simple Match hits:           0  (  0.0 %)
  - EMC hits:                    0  (  0.0 %)
  - SMC hits:                 3000  ( 75.0 %)
  - Megaflow hits:             900  ( 22.5 %, 2.00 subtbl lookups/hit)
  - Upcalls:                   100  (  2.5 %)
  - Lost upcalls:                0  (  0.0 %)
  Tx packets:                 6000  (3 Kpps)
  Tx batches:                 1500  (4.00 pkts/batch)
"
        );
    }

    #[test]
    fn the_time_of_day_is_utc() {
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(86_400_000 + 3_723_004);
        assert_eq!(time_of_day(at), "01:02:03.004");
    }
}
