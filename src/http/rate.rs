//! A token bucket for each source, so that one caller cannot starve the others (P52).

use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

/// Sources remembered before idle ones are forgotten.
const REMEMBERED: usize = 100_000;

/// Requests a second for each source prefix.
pub struct Rate {
    buckets: RateLimiter<SourcePrefix, DashMapStateStore<SourcePrefix>, DefaultClock>,
    clock: DefaultClock,
}

/// The neighbourhood of an address: /24 of IPv4, /48 of IPv6. What strangers are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourcePrefix([u8; 7]);

impl From<IpAddr> for SourcePrefix {
    fn from(address: IpAddr) -> Self {
        // An IPv4 caller of a dual-stack socket is the IPv4 caller it is.
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Self([4, a, b, c, 0, 0, 0])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, ..] = v6.octets();
                Self([6, a, b, c, d, e, f])
            }
        }
    }
}

impl Rate {
    /// `sustained` requests a second, `burst` at once.
    pub fn new(sustained: u32, burst: u32) -> Self {
        let some = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(some(sustained)).allow_burst(some(burst));
        Self { buckets: RateLimiter::dashmap(quota), clock: DefaultClock::default() }
    }

    /// Takes one request for this source.
    ///
    /// # Errors
    /// Seconds after which to come again.
    pub fn take(&self, source: IpAddr) -> Result<(), u64> {
        if self.buckets.len() > REMEMBERED {
            self.buckets.retain_recent();
        }
        self.buckets.check_key(&source.into()).map_err(|wait| wait.wait_time_from(self.clock.now()).as_secs().max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_16_a_source_beyond_its_rate_waits_and_its_neighbours_do_not() {
        let rate = Rate::new(1, 3);
        let flood: IpAddr = "192.0.2.7".parse().unwrap();
        let taken = (0..10).filter(|_| rate.take(flood).is_ok()).count();
        assert_eq!(taken, 3);
        assert!(rate.take("192.0.2.99".parse().unwrap()).is_err(), "the same /24");
        assert!(rate.take("198.51.100.1".parse().unwrap()).is_ok());
    }

    #[test]
    fn http_16_callers_of_a_dual_stack_socket_do_not_share_a_bucket() {
        let rate = Rate::new(1, 3);
        let one: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        while rate.take(one).is_ok() {}
        assert!(rate.take("192.0.2.9".parse().unwrap()).is_err(), "the same /24");
        assert!(rate.take("::ffff:198.51.100.1".parse().unwrap()).is_ok());
        assert!(rate.take("4c0:2::1".parse().unwrap()).is_ok());
    }
}
