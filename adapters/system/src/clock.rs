//! What time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use opentaco_domain::time::Timestamp;
use opentaco_ports::driven::Clock;
use rustix::time::{ClockId, clock_gettime};

/// The clocks of the operating system.
///
/// [`Clock::now`] is the wall clock in milliseconds and may jump when somebody sets it. [`Clock::mono`] has
/// nanoseconds and never goes back; on Linux it counts the time the machine was suspended (`CLOCK_BOOTTIME`),
/// elsewhere it is `CLOCK_MONOTONIC`, which may not.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this crate is where the operating system is asked")]
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
        })
    }

    fn mono(&self) -> Duration {
        let time = clock_gettime(MONO);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

#[cfg(target_os = "linux")]
const MONO: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const MONO: ClockId = ClockId::Monotonic;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn time_passes_and_the_steady_clock_never_goes_back() {
        let clock = SystemClock;
        // 2024-01-01, in milliseconds: the wall clock is in the right unit.
        assert!(clock.now() > Timestamp::from_millis(1_704_067_200_000));
        let first = clock.mono();
        clock.sleep(Duration::from_millis(20)).await;
        assert!(clock.mono() >= first + Duration::from_millis(20));
    }
}
