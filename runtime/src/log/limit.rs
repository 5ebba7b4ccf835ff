//! Rate limits for messages that a peer or a fault can cause at will.

use std::time::Instant;

use parking_lot::Mutex;

use super::{Level, Module};

/// One message.
const MESSAGE: u64 = 60_000;

/// A token bucket; a `static` beside the message it limits.
pub struct RateLimit {
    /// Tokens a millisecond: the messages a minute.
    rate: u64,
    burst: u64,
    state: Mutex<State>,
}

struct State {
    /// `None` = never used: the bucket is full.
    filled: Option<Instant>,
    tokens: u64,
    dropped: Option<Dropped>,
}

struct Dropped {
    count: u64,
    first: Instant,
    last: Instant,
}

impl RateLimit {
    /// At most `per_minute` messages a minute in the long run, and `burst` at once.
    pub const fn new(per_minute: u32, burst: u32) -> RateLimit {
        RateLimit {
            rate: per_minute as u64,
            burst: burst as u64 * MESSAGE,
            state: Mutex::new(State { filled: None, tokens: 0, dropped: None }),
        }
    }

    /// True if the message must not be logged. When it may be, and some before it were not, says
    /// so first.
    pub fn should_drop(&self, module: &'static Module, level: Level) -> bool {
        module.honors_rate_limits() && self.withdraw(Instant::now(), module, level)
    }

    fn withdraw(&self, now: Instant, module: &'static Module, level: Level) -> bool {
        let mut s = self.state.lock();
        let gained = match s.filled {
            None => self.burst,
            Some(t) => {
                (now.saturating_duration_since(t).as_millis() as u64).saturating_mul(self.rate)
            }
        };
        // The time of a fraction of a token is not lost: the bucket is filled only when it gains.
        if gained > 0 {
            s.tokens = s.tokens.saturating_add(gained).min(self.burst);
            s.filled = Some(now);
        }
        if s.tokens < MESSAGE {
            let d = s.dropped.get_or_insert(Dropped { count: 0, first: now, last: now });
            d.count += 1;
            d.last = now;
            return true;
        }
        s.tokens -= MESSAGE;
        let dropped = s.dropped.take();
        drop(s);
        if let Some(d) = dropped {
            crate::log_at!(
                *module,
                level,
                "Dropped {} log messages in last {} seconds (most recently, {} seconds ago) due to \
                 excessive rate",
                d.count,
                now.saturating_duration_since(d.first).as_secs(),
                now.saturating_duration_since(d.last).as_secs();
                "dropped" => d.count
            );
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn bucket() {
        static QUIET: Module = Module::new("limit_test");
        QUIET.set_level(None, Level::Off);
        let rl = RateLimit::new(6, 2);
        let t = Instant::now();
        let at = |ms: u64| rl.withdraw(t + Duration::from_millis(ms), &QUIET, Level::Off);
        // A burst of two, then one every ten seconds.
        assert_eq!([at(0), at(0), at(0), at(9_000)], [false, false, true, true]);
        assert_eq!([at(10_001), at(10_002), at(19_000)], [false, true, true]);
        assert!(!at(20_002));
        // A long silence fills the bucket no further than the burst.
        assert_eq!([at(900_000), at(900_000), at(900_000)], [false, false, true]);
    }
}
